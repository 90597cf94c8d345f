//! One page of paper: what was done, to whom, and the signed receipt, so that the paper can be checked.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use pdf_writer::{Content, Finish as _, Name, Pdf, Rect, Ref, Str, TextStr};

use crate::dto::{ReceiptState, VisitReport};

/// A4, in points.
const PAGE: (f32, f32) = (595.0, 842.0);
const LEFT: f32 = 56.0;
const RIGHT: f32 = PAGE.0 - LEFT;
/// Where values begin.
const VALUE: f32 = LEFT + 132.0;

const INK: [f32; 3] = [0.075, 0.106, 0.122];
const GREY: [f32; 3] = [0.369, 0.416, 0.439];
const LINE: [f32; 3] = [0.863, 0.878, 0.890];
const ACCENT: [f32; 3] = [0.020, 0.455, 0.490];
const PASS: [f32; 3] = [0.039, 0.420, 0.224];
const FAIL: [f32; 3] = [0.647, 0.078, 0.122];
const WHITE: [f32; 3] = [1.0; 3];

/// The page's fonts, which every reader has.
#[derive(Clone, Copy)]
enum Font {
    Plain,
    Bold,
    Mono,
}

impl Font {
    const ALL: [Self; 3] = [Self::Plain, Self::Bold, Self::Mono];

    const fn name(self) -> (&'static [u8], &'static [u8]) {
        match self {
            Self::Plain => (b"F1", b"Helvetica"),
            Self::Bold => (b"F2", b"Helvetica-Bold"),
            Self::Mono => (b"F3", b"Courier"),
        }
    }
}

/// The report as a PDF. Every text in it is ASCII: names are no other, by their own rules.
pub(super) fn write(report: &VisitReport) -> Vec<u8> {
    let [catalog, pages, page, content, info] = [1, 2, 3, 4, 5].map(Ref::new);
    let title = format!("Service report {} {}", report.serial, report.version);
    let mut pdf = Pdf::new();
    pdf.catalog(catalog).pages(pages).lang(TextStr("en"));
    pdf.pages(pages).kids([page]).count(1);
    pdf.document_info(info).title(TextStr(&title)).creator(TextStr("Fleetseal"));
    let mut sheet = pdf.page(page);
    sheet.media_box(Rect::new(0.0, 0.0, PAGE.0, PAGE.1)).parent(pages).contents(content);
    let mut resources = sheet.resources();
    let mut fonts = resources.fonts();
    let ids: Vec<_> = Font::ALL.into_iter().zip(6..).map(|(font, id)| (font.name(), Ref::new(id))).collect();
    for ((name, _), id) in &ids {
        fonts.pair(Name(name), *id);
    }
    fonts.finish();
    resources.finish();
    sheet.finish();
    for ((_, base), id) in ids {
        pdf.type1_font(id).base_font(Name(base)).encoding_predefined(Name(b"WinAnsiEncoding"));
    }
    pdf.stream(content, &Sheet::new().filled(report));
    pdf.finish()
}

/// The page as it is written, from the top.
struct Sheet {
    content: Content,
    /// Where the next line stands, from below.
    y: f32,
}

impl Sheet {
    fn new() -> Self {
        Self { content: Content::new(), y: PAGE.1 - 60.0 }
    }

    fn filled(mut self, report: &VisitReport) -> Vec<u8> {
        self.mark(LEFT, self.y - 3.0);
        self.text(Font::Bold, 12.0, INK, LEFT + 24.0, "Fleetseal");
        self.y -= 42.0;
        self.text(Font::Bold, 22.0, INK, LEFT, "Service report");
        self.y -= 18.0;
        let line = format!("{}, {}, {}", report.serial, report.model, report.ended_at);
        self.text(Font::Plain, 10.0, GREY, LEFT, &line);
        self.verdict(report);

        self.section("Device");
        self.value("Serial number", Font::Mono, report.serial.as_str());
        self.value("Model", Font::Plain, report.model.as_str());
        self.value("Device", Font::Mono, &report.device.to_string());
        let identity = if report.identity_proven {
            "proven: the device signed fresh challenges before and after"
        } else {
            "NOT PROVEN: the device only said its number"
        };
        self.value("Identity", if report.identity_proven { Font::Plain } else { Font::Bold }, identity);

        self.section("Software");
        let before = report.before.as_ref().map_or_else(|| "not said".to_owned(), ToString::to_string);
        self.value("Component", Font::Plain, report.component.as_str());
        self.value("Before", Font::Mono, &before);
        let after = if report.passed { "After" } else { "Wanted" };
        self.value(after, Font::Mono, &report.version.to_string());
        self.value("Security counter", Font::Mono, &report.security_counter.to_string());
        self.value("Artifact SHA-256", Font::Mono, &report.artifact.to_string());
        self.value("Sealed ticket SHA-256", Font::Mono, &report.ticket.to_string());

        self.section("Visit");
        self.value("Technician", Font::Plain, report.technician.as_str());
        let mode = match report.mode.as_str() {
            "deputy" => "deputy: this bench opened the ticket in the device's stead",
            _ => "sealed: the device opened its ticket itself",
        };
        self.value("Mode", Font::Plain, mode);
        self.value("Bench", Font::Mono, &report.bench.to_string());
        self.value("Place", Font::Plain, &report.place);
        self.value("Began", Font::Plain, &report.began_at.to_string());
        self.value("Ended", Font::Plain, &report.ended_at.to_string());
        self.value("Image sent", Font::Plain, &times(report.transfers));

        self.section("Receipt");
        let state = match report.receipt {
            ReceiptState::HandedIn => "the backend has it",
            ReceiptState::Queued => "waits on the technician's computer for the network",
            ReceiptState::Refused => "refused by the backend; it lies aside on the technician's computer",
        };
        self.value("State", Font::Plain, state);
        self.value("SHA-256", Font::Mono, &report.id.to_string());
        self.value("Signed by key", Font::Mono, &report.signed_by.to_string());
        self.y -= 20.0;
        self.text(Font::Plain, 8.0, GREY, LEFT, "The signed receipt (COSE_Sign1, base64):");
        for part in chunks(&BASE64_STANDARD.encode(&*report.signed_receipt), 106) {
            self.y -= 9.5;
            self.text(Font::Mono, 7.5, INK, LEFT, part);
        }
        self.content.finish().to_vec()
    }

    /// PASS or FAIL, as large as on the bench.
    fn verdict(&mut self, report: &VisitReport) {
        let (word, colour) = if report.passed { ("PASS", PASS) } else { ("FAIL", FAIL) };
        let bottom = self.y - 72.0;
        self.colour(colour);
        self.content.rect(LEFT, bottom, RIGHT - LEFT, 52.0).fill_nonzero();
        self.y = bottom + 17.0;
        self.text(Font::Bold, 26.0, WHITE, LEFT + 16.0, word);
        let said = match (&report.why, report.passed) {
            (_, true) => format!("It runs {}, confirmed.", report.version),
            (Some(why), false) => why.clone(),
            (None, false) => report.code.clone().unwrap_or_default(),
        };
        let lines = wrap(&said, 66);
        self.y = bottom + if lines.len() > 1 { 29.0 } else { 22.0 };
        for line in lines {
            self.text(Font::Plain, 10.5, WHITE, LEFT + 116.0, &line);
            self.y -= 13.0;
        }
        self.y = bottom - 4.0;
    }

    fn section(&mut self, title: &str) {
        self.y -= 22.0;
        self.text(Font::Bold, 10.5, INK, LEFT, title);
        self.y -= 6.0;
        self.colour(LINE);
        self.content.rect(LEFT, self.y, RIGHT - LEFT, 0.75).fill_nonzero();
        self.y -= 2.0;
    }

    fn value(&mut self, label: &str, font: Font, value: &str) {
        self.y -= 14.0;
        self.text(Font::Plain, 9.5, GREY, LEFT, label);
        let size = if matches!(font, Font::Mono) { 9.0 } else { 9.5 };
        self.text(font, size, INK, VALUE, value);
    }

    fn text(&mut self, font: Font, size: f32, colour: [f32; 3], x: f32, text: &str) {
        self.colour(colour);
        let bytes: Vec<u8> = text.chars().map(|c| if c.is_ascii() { c as u8 } else { b'?' }).collect();
        self.content.begin_text().set_font(Name(font.name().0), size).next_line(x, self.y);
        self.content.show(Str(&bytes)).end_text();
    }

    fn colour(&mut self, [red, green, blue]: [f32; 3]) {
        self.content.set_fill_rgb(red, green, blue);
    }

    /// The seal: three shares around one device.
    fn mark(&mut self, x: f32, y: f32) {
        let at = |(across, down): (f32, f32)| (x + across * 0.75, y + 18.0 - down * 0.75);
        self.content.set_stroke_rgb(ACCENT[0], ACCENT[1], ACCENT[2]).set_line_width(1.8);
        for share in [
            [(4.12, 6.55), (12.0, 2.0), (19.88, 6.55)],
            [(20.66, 7.9), (20.66, 17.0), (12.78, 21.55)],
            [(11.22, 21.55), (3.34, 17.0), (3.34, 7.9)],
        ] {
            let [(a, b), (c, d), (e, f)] = share.map(at);
            self.content.move_to(a, b).line_to(c, d).line_to(e, f).stroke();
        }
        let core =
            [(12.0, 7.8), (15.64, 9.9), (15.64, 14.1), (12.0, 16.2), (8.36, 14.1), (8.36, 9.9)].map(at);
        self.colour(ACCENT);
        self.content.move_to(core[0].0, core[0].1);
        for (x, y) in &core[1..] {
            self.content.line_to(*x, *y);
        }
        self.content.close_path().fill_nonzero();
    }
}

fn times(n: u32) -> String {
    match n {
        0 => "not at all: it was there already".into(),
        1 => "once".into(),
        n => format!("{n} times"),
    }
}

/// Lines of at most `most` letters.
fn wrap(text: &str, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + word.len() < most => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Pieces of `size` letters of an ASCII text.
fn chunks(text: &str, size: usize) -> impl Iterator<Item = &str> {
    (0..text.len()).step_by(size).map(move |at| &text[at..text.len().min(at + size)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paper_says_who_what_and_how_it_ended() {
        for passed in [true, false] {
            let report = crate::reports::tests::report(passed);
            let pdf = write(&report);
            let text = String::from_utf8_lossy(&pdf);
            assert!(text.starts_with("%PDF-1.7") && text.trim_end().ends_with("%%EOF"));
            let said = ["(HX220-0447731)", "(2.4.0)", "(2.4.1)", "(Aino Salo)", &report.artifact.to_string()];
            for said in said {
                assert!(text.contains(said), "{said}");
            }
            assert_eq!(text.contains("(PASS)"), passed);
            assert_eq!(text.contains("(FAIL)"), !passed);
            assert_eq!(text.contains("NOT PROVEN"), !passed);
        }
    }
}
