//! `hearken devices`: the sound inputs and outputs.

use std::io::Write;

use serde_json::json;

use crate::audio::{DeviceDirection, DeviceInfo, devices};
use crate::config::ReportFormat;
use crate::console::print;
use crate::error::Result;
use crate::text::clean_name;

/// Prints every sound input and output with name, id, sample rate and channels, and marks the system's defaults.
///
/// # Errors
/// When the sound system does not list its devices, or `out` cannot be written.
pub fn print_devices(format: ReportFormat, mut out: impl Write) -> Result<()> {
    let found = devices()?;
    let text = match format {
        ReportFormat::Json => as_json(&found),
        ReportFormat::Text => as_text(&found),
    };
    print(&mut out, text)
}

fn as_json(found: &[DeviceInfo]) -> String {
    let list: Vec<_> = found
        .iter()
        .map(|d| {
            json!({
                "id": d.id,
                "name": d.name,
                "direction": if d.direction == DeviceDirection::Input { "input" } else { "output" },
                "default": d.is_default,
                "monitor": d.is_monitor,
                "rate_hz": d.rate_hz,
                "channels": d.channels,
            })
        })
        .collect();
    format!("{:#}", json!(list))
}

fn as_text(found: &[DeviceInfo]) -> String {
    let mut text = String::new();
    for (title, direction) in [("inputs", DeviceDirection::Input), ("outputs", DeviceDirection::Output)] {
        text += &format!("{title}:\n");
        let mut listed = found.iter().filter(|d| d.direction == direction).peekable();
        if listed.peek().is_none() {
            text += "    none\n";
        }
        for d in listed {
            let mark = if d.is_default { "*" } else { " " };
            text += &format!("  {mark} {}  ({} Hz, {} channels)  {}\n", clean_name(&d.name), d.rate_hz, d.channels, clean_name(&d.id));
        }
    }
    text + "* is the system's default"
}
