//! `hearken devices`: the sound inputs and outputs.

use std::io::{self, Write};

use serde_json::json;

use crate::audio::{DeviceDirection, DeviceInfo, devices};
use crate::config::ReportFormat;
use crate::error::{Error, ErrorKind, Result};

/// Prints the sound devices, the defaults marked.
///
/// # Errors
/// When the sound system cannot be asked, or `out` cannot be written.
pub fn print_devices(format: ReportFormat, mut out: impl Write) -> Result<()> {
    let found = devices()?;
    let printed = match format {
        ReportFormat::Json => print_json(&found, &mut out),
        ReportFormat::Text => print_text(&found, &mut out),
    };
    printed.and_then(|()| out.flush()).map_err(|e| {
        let kind = if e.kind() == io::ErrorKind::BrokenPipe { ErrorKind::BrokenPipe } else { ErrorKind::Output };
        Error::new(kind, format!("stdout cannot be written: {e}"))
    })
}

fn print_json(found: &[DeviceInfo], out: &mut impl Write) -> io::Result<()> {
    let list: Vec<_> = found
        .iter()
        .map(|d| {
            json!({
                "id": d.id,
                "name": d.name,
                "direction": if d.direction == DeviceDirection::Input { "input" } else { "output" },
                "default": d.is_default,
                "rate_hz": d.rate_hz,
                "channels": d.channels,
            })
        })
        .collect();
    writeln!(out, "{:#}", json!(list))
}

fn print_text(found: &[DeviceInfo], out: &mut impl Write) -> io::Result<()> {
    for (title, direction) in [("inputs", DeviceDirection::Input), ("outputs", DeviceDirection::Output)] {
        writeln!(out, "{title}:")?;
        let mut listed = found.iter().filter(|d| d.direction == direction).peekable();
        if listed.peek().is_none() {
            writeln!(out, "    none")?;
        }
        for d in listed {
            let mark = if d.is_default { "*" } else { " " };
            writeln!(out, "  {mark} {}  ({} Hz, {} channels)  {}", d.name, d.rate_hz, d.channels, d.id)?;
        }
    }
    writeln!(out, "* is the system's default")
}
