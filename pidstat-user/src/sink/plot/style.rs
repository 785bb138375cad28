//! Colours: light and dark as the viewer is, or one of the named styles.

use std::fmt::Write as _;

/// A set of colours.
#[derive(Debug, PartialEq, Eq)]
pub struct Style {
    /// What `--style` calls it: pygal's names, our colours.
    pub name: &'static str,
    /// Around the plot.
    background: &'static str,
    /// Behind the lines.
    paper: &'static str,
    /// Titles.
    strong: &'static str,
    /// Labels.
    text: &'static str,
    /// Rules behind the lines.
    rule: &'static str,
    /// Lines, in turn.
    colours: &'static [&'static str],
}

/// Colours that differ for every kind of colour vision, in print too: after Okabe and Ito, darkened where white paper
/// would swallow them.
const LIGHT: Style = Style {
    name: "",
    background: "#ffffff",
    paper: "#ffffff",
    strong: "#15181c",
    text: "#59616b",
    rule: "#e6e8eb",
    colours: &["#0072b2", "#d55e00", "#009e73", "#b2509a", "#c58900", "#2fa3dc", "#4d4d4d"],
};

/// The same on a dark screen.
const DARK: Style = Style {
    name: "",
    background: "#14171b",
    paper: "#14171b",
    strong: "#f1f3f5",
    text: "#a0a8b2",
    rule: "#2a2f36",
    colours: &["#4fb0f0", "#ff8c42", "#2dd4a3", "#e58ac8", "#f5c242", "#a5dcff", "#c9ced6"],
};

const fn style(
    name: &'static str,
    [background, paper, strong, text, rule]: [&'static str; 5],
    colours: &'static [&'static str],
) -> Style {
    Style { name, background, paper, strong, text, rule, colours }
}

/// The styles by name.
pub const STYLES: [Style; 16] = [
    Style { name: "DefaultStyle", ..LIGHT },
    Style { name: "DarkStyle", ..DARK },
    Style { name: "LightStyle", paper: "#f4f6fb", ..LIGHT },
    style(
        "NeonStyle",
        ["#050508", "#0b0b12", "#ffffff", "#8f93a8", "#1d1d2b"],
        &["#ff2fa0", "#39ff88", "#25d5ff", "#fff237", "#b36bff", "#ff7a2f"],
    ),
    style(
        "CleanStyle",
        ["none", "#f5f5f5", "#1b1b1b", "#555555", "#e0e0e0"],
        &["#0f3d91", "#7a1f3d", "#c56a00", "#6f7a00", "#8f1010"],
    ),
    style(
        "DarkSolarizedStyle",
        ["#002b36", "#073642", "#eee8d5", "#93a1a1", "#0f4552"],
        &["#268bd2", "#cb4b16", "#2aa198", "#d33682", "#b58900", "#859900", "#6c71c4", "#dc322f"],
    ),
    style(
        "LightSolarizedStyle",
        ["#fdf6e3", "#fdf6e3", "#073642", "#657b83", "#eee8d5"],
        &["#268bd2", "#cb4b16", "#2aa198", "#d33682", "#b58900", "#859900", "#6c71c4", "#dc322f"],
    ),
    style(
        "RedBlueStyle",
        ["#f7f8f9", "#ffffff", "#16191d", "#59616b", "#e6e8eb"],
        &["#c8322f", "#1f5fa8", "#e5805a", "#5b9bd5", "#8c1c1c", "#123a6b"],
    ),
    style(
        "LightColorizedStyle",
        ["#f8f8f8", "#fdfdfd", "#333333", "#666666", "#e4e4e4"],
        &["#e4605e", "#1f9e9c", "#534f4c", "#8a6fc0", "#c07a1f", "#7b837e"],
    ),
    style(
        "DarkColorizedStyle",
        ["#251c29", "#33263a", "#ffffff", "#c4bcc9", "#46374e"],
        &["#d06bff", "#3fc4ff", "#8cf05a", "#ff66e5", "#f4f06a", "#ff9d5c"],
    ),
    style(
        "TurquoiseStyle",
        ["#0f5a60", "#0c4f55", "#ffffff", "#bfe0e2", "#1d6a70"],
        &["#9adfe6", "#f6a533", "#ffffff", "#e0b48c", "#5fc7a0", "#ffd98a"],
    ),
    style(
        "LightGreenStyle",
        ["#f7f9f4", "#ffffff", "#2b332b", "#5c665c", "#e3eadd"],
        &["#4f9a12", "#1f6f9a", "#2f7d4f", "#8a8f2a", "#4d4d4d", "#62a8c8"],
    ),
    style(
        "DarkGreenStyle",
        ["#151a07", "#1b2209", "#f4f8e6", "#b4bf94", "#2c3613"],
        &["#b8e62e", "#fcd22d", "#7fc97f", "#ffe89a", "#8fae3a", "#e0f0a0"],
    ),
    style(
        "DarkGreenBlueStyle",
        ["#05080a", "#0f1519", "#f0f6f8", "#a3b4ba", "#202b31"],
        &["#5cc8ff", "#8fdc4a", "#2f9fd0", "#c5f08a", "#ffffff", "#4fd6b0"],
    ),
    style(
        "BlueStyle",
        ["#f1f4f8", "#f9fbfd", "#10243a", "#4d6072", "#dfe7ee"],
        &["#0a66ad", "#0fa3c9", "#1fae86", "#c99700", "#3f4fae", "#5d8c1f"],
    ),
    style(
        "SolidColorStyle",
        ["#ffffff", "#ffffff", "#000000", "#555555", "#e2e2e2"],
        &["#e08600", "#cf3510", "#3c68c4", "#0f8a17", "#8f008f", "#0089b3", "#c93b6b", "#649c1c"],
    ),
];

/// So many colours have a class of their own; lines take them in turn.
pub(super) const COLOURS: usize = 24;

impl Style {
    /// The style of this name.
    pub fn named(name: &str) -> Option<&'static Style> {
        STYLES.iter().find(|style| style.name == name)
    }

    fn rules(&self) -> String {
        let Style { background, paper, strong, text, rule, .. } = self;
        let mut css = format!(
            ".bg,.halo{{fill:{background}}}.paper{{fill:{paper}}}text{{fill:{text}}}.strong{{fill:{strong}}}\
             .rule{{stroke:{rule}}}.base,.cross{{stroke:{text}}}.dot{{stroke:{paper}}}.tip rect{{fill:{paper};stroke:{text}}}\n"
        );
        for (at, colour) in self.colours.iter().cycle().take(COLOURS).enumerate() {
            // Writing to a string cannot fail.
            let _ = write!(css, ".c{at}{{stroke:{colour};color:{colour}}}");
        }
        css.push('\n');
        css
    }
}

/// The colour of a line on paper, as red, green and blue.
#[cfg(feature = "png")]
pub(super) fn colour(style: Option<&Style>, identity: usize) -> [u8; 3] {
    let colours = style.unwrap_or(&LIGHT).colours;
    let digits = &colours[identity % COLOURS % colours.len()][1..];
    let number = u32::from_str_radix(digits, 16).unwrap_or(0);
    [16, 8, 0].map(|shift| (number >> shift) as u8)
}

/// The colours as CSS: of a style, or light and dark; `fixed` leaves the choice out, for paper.
pub(super) fn css(style: Option<&Style>, fixed: bool) -> String {
    match style {
        Some(style) => style.rules(),
        None if fixed => LIGHT.rules(),
        None => format!(
            "{}@media screen and (prefers-color-scheme:dark){{\n:root{{color-scheme:dark}}\n{}}}\n",
            LIGHT.rules(),
            DARK.rules()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::{STYLES, Style};

    #[test]
    fn every_style_has_a_name_of_its_own() {
        for style in &STYLES {
            assert_eq!(Style::named(style.name), Some(style));
            #[cfg(feature = "png")]
            for (identity, written) in style.colours.iter().enumerate() {
                let [red, green, blue] = super::colour(Some(style), identity);
                assert_eq!(*written, format!("#{red:02x}{green:02x}{blue:02x}"));
            }
        }
        assert_eq!(Style::named("NoStyle"), None);
    }
}
