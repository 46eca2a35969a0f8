//! The core of HE-AAC. symphonia decodes AAC-LC; HE-AAC is AAC-LC at half the rate with hints for the upper band, which speech does not
//! need. The configuration is rewritten so that the hints are passed over.

/// Object type of AAC-LC.
const LC: u32 = 2;
/// Object types of HE-AAC and HE-AAC v2.
const HE: [u32; 2] = [5, 29];
/// The index that says that the sample rate itself follows.
const EXPLICIT_RATE: u32 = 15;

/// Returns the configuration (`AudioSpecificConfig`, ISO 14496-3) of the AAC-LC core of `config`; None where the core is of another
/// kind.
pub(super) fn core_config(config: &[u8]) -> Option<Box<[u8]>> {
    let mut bits = Bits { bytes: config, at: 0 };
    let object_type = bits.object_type()?;
    let rate = bits.rate()?;
    let channels = bits.read(4)?;
    let core = if HE.contains(&object_type) {
        bits.rate()?;
        bits.object_type()?
    } else {
        object_type
    };
    if core != LC {
        return None;
    }
    let mut out = BitWriter::default();
    out.write(LC, 5);
    out.write(rate.0, 4);
    if let Some(hz) = rate.1 {
        out.write(hz, 24);
    }
    out.write(channels, 4);
    // Frames of 1,024 samples, no other core, no extension.
    out.write(bits.read(1).unwrap_or(0), 1);
    out.write(0, 2);
    Some(out.bytes.into_boxed_slice())
}

/// A reader of bits, the highest first.
struct Bits<'a> {
    bytes: &'a [u8],
    /// Number of bits read.
    at: usize,
}

impl Bits<'_> {
    fn read(&mut self, count: usize) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }

    fn object_type(&mut self) -> Option<u32> {
        match self.read(5)? {
            31 => Some(32 + self.read(6)?),
            kind => Some(kind),
        }
    }

    /// Reads the index of a sample rate and, where the index says so, the rate in Hz.
    fn rate(&mut self) -> Option<(u32, Option<u32>)> {
        let index = self.read(4)?;
        Some((index, if index == EXPLICIT_RATE { Some(self.read(24)?) } else { None }))
    }
}

/// A writer of bits, the highest first.
#[derive(Default)]
struct BitWriter {
    bytes: Vec<u8>,
    /// Number of bits written.
    at: usize,
}

impl BitWriter {
    fn write(&mut self, value: u32, count: usize) {
        for bit in (0..count).rev() {
            if self.at.is_multiple_of(8) {
                self.bytes.push(0);
            }
            if let Some(last) = self.bytes.last_mut() {
                *last |= ((value >> bit & 1) as u8) << (7 - self.at % 8);
            }
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_core_of_he_aac_is_aac_lc_at_its_own_rate() {
        // AAC-LC, 44.1 kHz, stereo.
        let lc = [0x12, 0x10];
        assert_eq!(core_config(&lc).as_deref(), Some(&lc[..]));
        // HE-AAC: type 5, core 22.05 kHz (7), stereo, output 44.1 kHz (4), core type 2.
        assert_eq!(core_config(&[0x2b, 0x92, 0x08, 0x00]).as_deref(), Some(&[0x13, 0x90][..]));
        // AAC-LC with the extension behind it that announces HE-AAC.
        assert_eq!(core_config(&[0x13, 0x90, 0x56, 0xe5, 0xa0]).as_deref(), Some(&[0x13, 0x90][..]));
        // AAC Main; and nothing at all.
        assert_eq!(core_config(&[0x0a, 0x10]), None);
        assert_eq!(core_config(&[]), None);
    }
}
