//! A chart as SVG: it stands alone, has light and dark colours, and answers to the pointer where scripts run.

use super::{
    Chart, Line, Point,
    frame::{Frame, HEIGHT, WIDTH},
    grid::Grid,
    ink::{Escaped, Ink, Short},
    style::{self, COLOURS},
    time,
};

/// What every picture looks like.
const LOOK: &str = include_str!("plot.css");
/// How it looks while one points at it.
const LIVE: &str = include_str!("live.css");
/// What strips and trees look like.
const STRIPS: &str = include_str!("strips.css");
/// What makes it answer.
pub const SCRIPT: &str = include_str!("plot.js");

/// Dots on more lines than these would be all that one sees.
const MOST_WITH_DOTS: usize = 40;

/// Where a picture will be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium<'a> {
    /// In a file of its own.
    File,
    /// On a page of ours, which has style and script at these addresses.
    Page {
        /// Address of the style.
        style: &'a str,
        /// Address of the script.
        script: &'a str,
    },
    /// By a program that knows the older half of SVG: places instead of values, no choice of colours, no script.
    Paper,
    /// The same without the lines: another one draws them.
    PaperAlone,
}

/// The style sheet of pictures on a page, light and dark.
pub fn style_sheet() -> String {
    format!("{LOOK}{}{LIVE}{STRIPS}", style::css(None, false))
}

/// Begins a picture of processes, of some height.
pub(super) fn open(ink: &mut Ink, medium: Medium<'_>, height: f64, title: &str, note: &str) {
    if let Medium::Page { style, .. } = medium {
        ink.put(format_args!("<?xml-stylesheet href=\"{style}\"?>\n"));
    }
    ink.put(format_args!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         role=\"img\" aria-label=\"{}\">\n",
        Escaped(title)
    ));
    if !matches!(medium, Medium::Page { .. }) {
        ink.put(format_args!("<style>\n{}</style>\n", style_sheet()));
    }
    ink.put(format_args!("<rect class=\"bg\" width=\"{WIDTH}\" height=\"{height}\"/>\n"));
    ink.text(20.0, 35.0, "strong title", "start", title);
    ink.text(20.0, 56.0, "", "start", note);
}

/// Draws a chart.
pub fn draw(chart: &Chart, medium: Medium<'_>) -> String {
    let mut ink = Ink::default();
    if let Medium::Page { style, .. } = medium {
        ink.put(format_args!("<?xml-stylesheet href=\"{style}\"?>\n"));
    }
    let frame = Frame::new(chart);
    let crowd = match chart.lines.len() {
        0..=25 => "",
        26..=150 => " many",
        _ => " crowd",
    };
    ink.put(format_args!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot{crowd}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         width=\"{WIDTH}\" height=\"{HEIGHT}\" role=\"img\" aria-label=\"{}\" data-format=\"{}\" data-relative=\"{}\"",
        Escaped(&chart.title),
        chart.formatter.key(),
        chart.relative_time
    ));
    match &frame {
        Some(frame) => ink.put(format_args!(" data-from=\"{}\">\n", frame.from)),
        None => ink.put(format_args!(">\n")),
    }
    match medium {
        Medium::File => {
            let colours = style::css(chart.style, false);
            ink.put(format_args!("<style>\n{LOOK}{colours}{LIVE}</style>\n"));
        }
        Medium::Paper | Medium::PaperAlone => {
            let colours = style::css(chart.style, true);
            ink.put(format_args!("<style>\n{LOOK}{colours}</style>\n"));
        }
        Medium::Page { .. } => {}
    }
    ink.put(format_args!("<rect class=\"bg\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>\n"));
    ink.text(20.0, 35.0, "strong title", "start", &chart.title);
    ink.text(20.0, 56.0, "", "start", &chart.note);
    match &frame {
        Some(frame) => {
            frame.draw(chart, &mut ink);
            if medium != Medium::PaperAlone {
                lines(chart, frame, medium, &mut ink);
            }
            frame.legend(chart, &mut ink);
        }
        None => ink.text(WIDTH / 2.0, HEIGHT / 2.0, "none", "middle", "No data"),
    }
    match medium {
        Medium::File => ink.put(format_args!("<script><![CDATA[\n{SCRIPT}]]></script>\n")),
        Medium::Page { script, .. } => ink.put(format_args!("<script href=\"{script}\"></script>\n")),
        Medium::Paper | Medium::PaperAlone => {}
    }
    ink.out.push_str("</svg>\n");
    ink.out
}

/// The lines and their dots, in an area that cuts off what does not belong there.
fn lines(chart: &Chart, frame: &Frame, medium: Medium<'_>, ink: &mut Ink) {
    // A line along the edge keeps its other half.
    const MARGIN: f64 = 3.0;
    let (width, height) = (frame.width + 2.0 * MARGIN, frame.height + 2.0 * MARGIN);
    ink.put(format_args!(
        "<svg class=\"area\" x=\"{}\" y=\"{}\" width=\"{width}\" height=\"{height}\" viewBox=\"-{MARGIN} -{MARGIN} {width} \
         {height}\">\n<rect class=\"hit\" width=\"{}\" height=\"{}\"/>\n",
        frame.left - MARGIN,
        frame.top - MARGIN,
        frame.width,
        frame.height
    ));
    for right in [false, true] {
        let Some(grid) = Grid::new(frame, right, medium) else { continue };
        ink.put(format_args!("<g class=\"lines\"{}>\n", grid.attributes()));
        for (number, line) in chart.lines.iter().enumerate() {
            if chart.groups[line.group].right != right {
                continue;
            }
            let (colour, dash) = (line.identity % COLOURS, line.group % 4);
            if chart.groups[line.group].stacked {
                ink.put(format_args!("<path class=\"line band c{colour}\" data-i=\"{number}\" d=\""));
                grid.path(&outline(line), &mut ink.out);
            } else {
                ink.put(format_args!("<path class=\"line c{colour} d{dash}\" data-i=\"{number}\" d=\""));
                grid.path(&thinned(&line.points, frame), &mut ink.out);
            }
            if medium == Medium::Paper {
                ink.put(format_args!("\"/>\n"));
            } else {
                let (name, detail) = (Escaped(&line.name), Escaped(&line.detail));
                let unit = chart.groups[line.group].title.rsplit_once(", ").map_or("", |(_, unit)| unit);
                ink.put(format_args!(
                    "\" data-unit=\"{}\"><title>{name} {detail}</title></path>\n",
                    Escaped(unit)
                ));
            }
        }
        ink.put(format_args!("</g>\n"));
    }
    if chart.dots && chart.lines.len() <= MOST_WITH_DOTS {
        dots(chart, frame, medium, ink);
    }
    ink.put(format_args!("</svg>\n"));
}

/// The first point of each line from each label of the time axis on, with its value.
fn dots(chart: &Chart, frame: &Frame, medium: Medium<'_>, ink: &mut Ink) {
    ink.put(format_args!("<g class=\"dots\">\n"));
    for line in &chart.lines {
        let mut before = usize::MAX;
        for label in &frame.times {
            let at = line.points.partition_point(|point| point.ts < label.ts);
            let Some(point) = line.points.get(at).filter(|_| at != before) else { continue };
            before = at;
            let (x, y) = (frame.x(point.ts), frame.y(chart.groups[line.group].right, point.value));
            if !y.is_finite() {
                continue;
            }
            let colour = line.identity % COLOURS;
            ink.put(format_args!(
                "<circle class=\"dot c{colour}\" cx=\"{}\" cy=\"{}\" r=\"3\"",
                Short(x),
                Short(y)
            ));
            if medium == Medium::Paper {
                ink.put(format_args!("/>\n"));
            } else {
                let when = if chart.relative_time {
                    time::since(point.ts - frame.from, 0)
                } else {
                    let (date, clock) = time::written(point.ts, 0);
                    format!("{date} {clock}")
                };
                let value = chart.formatter.write(point.value, 0.0);
                let name = Escaped(&line.name);
                ink.put(format_args!("><title>{name}\n{when}: {value}</title></circle>\n"));
            }
        }
    }
    ink.put(format_args!("</g>\n"));
}

/// The edge of an area: above from left to right, below from right to left.
fn outline(line: &Line) -> Vec<Point> {
    let below = line.points.iter().zip(&line.floor).rev();
    let below = below.map(|(point, floor)| Point { ts: point.ts, value: *floor });
    line.points.iter().copied().chain(below).collect()
}

/// Of very many points those that can be told apart: the first, the lowest, the highest and the last of each half pixel,
/// and the gaps.
fn thinned<'p>(points: &'p [Point], frame: &Frame) -> std::borrow::Cow<'p, [Point]> {
    let columns = frame.width * 2.0;
    if (points.len() as f64) < columns * 4.0 {
        return points.into();
    }
    let column = |point: &Point| ((point.ts - frame.from) / (frame.to - frame.from) * columns) as i64;
    let same =
        |one: &Point, two: &Point| column(one) == column(two) && one.value.is_nan() == two.value.is_nan();
    let mut kept = Vec::new();
    for piece in points.chunk_by(same) {
        let by_value = |a: &usize, b: &usize| piece[*a].value.total_cmp(&piece[*b].value);
        let lowest = (0..piece.len()).min_by(by_value).unwrap_or(0);
        let highest = (0..piece.len()).max_by(by_value).unwrap_or(0);
        let mut chosen = [0, lowest, highest, piece.len() - 1];
        chosen.sort_unstable();
        let mut before = None;
        for at in chosen {
            if before.replace(at) != Some(at) {
                kept.push(piece[at]);
            }
        }
    }
    kept.into()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Formatter, Group, Line},
        *,
    };

    fn chart(points: &[(f64, f64)]) -> Chart {
        let points = points.iter().map(|(ts, value)| Point { ts: *ts, value: *value }).collect();
        Chart {
            title: "T".into(),
            note: String::new(),
            groups: vec![Group { title: "Size, MiB".into(), right: false, stacked: false }],
            lines: vec![Line {
                group: 0,
                identity: 3,
                name: "rss 7".into(),
                detail: "cat".into(),
                points,
                floor: Vec::new(),
            }],
            logarithmic: false,
            relative_time: false,
            dots: true,
            style: None,
            formatter: Formatter::Plain,
        }
    }

    #[test]
    fn a_path_holds_the_values_themselves() {
        let svg =
            draw(&chart(&[(100.0, 10.0), (103.0, 20.0), (104.0, f64::NAN), (110.0, 5.5)]), Medium::File);
        assert!(svg.contains("data-from=\"100\""), "{svg}");
        assert!(svg.contains("data-second=\"0.001\" data-unit=\"0.00001\" data-low=\"0\""), "{svg}");
        assert!(svg.contains("d=\"m0 1000000 3000 1000000m7000-1450000z\""), "{svg}");
    }

    #[test]
    fn hostile_names_stay_text() {
        let mut hostile = chart(&[(1.0, 1.0), (2.0, 2.0)]);
        let evil = "</title><script>alert(1)</script>\" onload=\"x";
        (hostile.title, hostile.note) = (evil.into(), evil.into());
        hostile.groups[0].title = format!("{evil}, {evil}");
        (hostile.lines[0].name, hostile.lines[0].detail) = (evil.into(), evil.into());
        for medium in [Medium::File, Medium::Paper, Medium::Page { style: "s", script: "j" }] {
            let svg = draw(&hostile, medium);
            assert!(!svg.contains("<script>alert") && !svg.contains("\" onload"), "{svg}");
        }
    }

    #[test]
    fn nothing_to_draw_is_said() {
        for points in [&[][..], &[(1.0, f64::NAN)]] {
            assert!(draw(&chart(points), Medium::File).contains(">No data<"));
        }
    }

    #[test]
    fn many_points_are_thinned_to_what_is_seen() {
        let wave: Vec<(f64, f64)> = (0..100_000)
            .map(|at| (f64::from(at), if at == 54_321 { 9.0 } else { f64::from(at % 7) }))
            .collect();
        let chart = chart(&wave);
        let frame = Frame::new(&chart).unwrap();
        let kept = thinned(&chart.lines[0].points, &frame);
        assert!(kept.len() < 8_000 && kept.iter().any(|point| point.value == 9.0), "{}", kept.len());
        assert_eq!((kept[0].ts, kept.last().unwrap().ts), (0.0, 99_999.0));
    }
}
