//! A chart as PNG, with letters of its own, so that it looks alike on machines without fonts.

use super::Chart;

/// Draws it at twice its size, which is sharp on paper and on fine screens.
///
/// # Errors
/// What the renderer did not like.
#[cfg(feature = "png")]
pub fn draw(chart: &Chart) -> Result<Vec<u8>, String> {
    use super::{frame::Frame, strokes, svg};
    use resvg::{tiny_skia, usvg};
    const ZOOM: f32 = 2.0;
    let many = strokes::are_many(chart);
    let svg = svg::draw(chart, if many { svg::Medium::PaperAlone } else { svg::Medium::Paper });
    let mut options = usvg::Options { font_family: "DejaVu Sans".into(), ..usvg::Options::default() };
    let fonts = options.fontdb_mut();
    // Names of processes can be in any script; only then is it worth to look for more fonts.
    if !svg
        .chars()
        .all(|c| matches!(c, '\n' | ' '..='~' | '\u{a0}'..='ÿ' | '№' | '…' | 'ε' | '–' | '\u{fffd}'))
    {
        fonts.load_system_fonts();
    }
    fonts.load_font_data(include_bytes!("font/sans.ttf").to_vec());
    fonts.load_font_data(include_bytes!("font/sans-bold.ttf").to_vec());
    fonts.set_sans_serif_family("DejaVu Sans");
    let tree = usvg::Tree::from_str(&svg, &options).map_err(|error| format!("cannot draw PNG: {error}"))?;
    let size = tree.size().to_int_size().scale_by(ZOOM).ok_or("cannot draw PNG: no size")?;
    let mut paper =
        tiny_skia::Pixmap::new(size.width(), size.height()).ok_or("cannot draw PNG: no memory")?;
    resvg::render(&tree, tiny_skia::Transform::from_scale(ZOOM, ZOOM), &mut paper.as_mut());
    if let Some(frame) = Frame::new(chart).filter(|_| many) {
        let width = paper.width() as usize;
        strokes::draw(chart, &frame, f64::from(ZOOM), paper.data_mut(), width);
    }
    paper.encode_png().map_err(|error| format!("cannot write PNG: {error}"))
}

/// Says that it cannot.
///
/// # Errors
/// Always.
#[cfg(not(feature = "png"))]
pub fn draw(_: &Chart) -> Result<Vec<u8>, String> {
    Err("this kpidstat was built without PNG (cargo feature \"png\"); write .svg instead".into())
}
