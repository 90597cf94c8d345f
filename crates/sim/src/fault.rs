use serde::{Deserialize, Serialize};

/// What goes wrong with a simulated device.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Nothing.
    None,
    /// Its line is slow: so many bytes a second.
    Slow {
        /// At least one.
        bytes_per_second: u32,
    },
    /// Its line is cut once, in the middle of a download.
    CutOff {
        /// Counted from the begin of the download, or of its connection if that is younger.
        after_bytes: u64,
    },
    /// Something on its line, such as a gateway, alters one byte once, in the middle of a download.
    Garbled {
        /// Counted from the begin of the download, or of its connection if that is younger.
        after_bytes: u64,
    },
    /// It receives its offer, and then its requests do not get through for so many milliseconds: long
    /// enough for the link to lapse.
    LinkLapses {
        /// How long.
        milliseconds: u32,
    },
    /// The new software does not come up.
    TrialFails,
    /// Its flash flips a bit of what was staged.
    StagedBitFlips,
    /// Somebody comes in its place with a certificate that nobody issued.
    ForeignCertificate,
    /// Somebody has a copy of its disk and repeats what it said before.
    Replay,
}

/// How many of a thousand devices have each fault. The rest have none.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct FaultMix {
    /// Slow lines.
    pub slow: u16,
    /// Lines that are cut once.
    pub cut_off: u16,
    /// Links that lapse.
    pub link_lapses: u16,
    /// Trials that fail.
    pub trial_fails: u16,
    /// Flashes that flip a bit.
    pub staged_bit_flips: u16,
    /// Lines on which a segment is tampered with once.
    pub tampered_segments: u16,
    /// Devices in whose place a stranger comes.
    pub foreign_certificates: u16,
    /// Devices whose check-in is replayed.
    pub replays: u16,
}

impl FaultMix {
    /// A little of everything.
    pub const MIXED: Self = Self {
        slow: 50,
        cut_off: 50,
        link_lapses: 20,
        trial_fails: 10,
        staged_bit_flips: 10,
        tampered_segments: 20,
        foreign_certificates: 10,
        replays: 5,
    };

    /// The fault of the device of this number, the same for the same seed.
    pub fn draw(self, seed: u64, device: u64) -> Fault {
        let drawn = mix(seed ^ mix(device)) % 1_000;
        let mut below = 0;
        let faults = [
            (self.slow, Fault::Slow { bytes_per_second: 512 * 1_024 }),
            (self.cut_off, Fault::CutOff { after_bytes: 64 * 1_024 + mix(device) % (512 * 1_024) }),
            (self.link_lapses, Fault::LinkLapses { milliseconds: 8_000 }),
            (self.trial_fails, Fault::TrialFails),
            (self.staged_bit_flips, Fault::StagedBitFlips),
            (
                self.tampered_segments,
                Fault::Garbled { after_bytes: 16 * 1_024 + mix(device) % (512 * 1_024) },
            ),
            (self.foreign_certificates, Fault::ForeignCertificate),
            (self.replays, Fault::Replay),
        ];
        for (share, fault) in faults {
            below += u64::from(share);
            if drawn < below {
                return fault;
            }
        }
        Fault::None
    }
}

/// SplitMix64: numbers that look random and are the same for the same seed.
pub(crate) const fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_faults_in_about_the_shares_asked_for() {
        let draw = |seed| (0..10_000).map(|device| FaultMix::MIXED.draw(seed, device)).collect::<Vec<_>>();
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        let none = draw(1).iter().filter(|fault| **fault == Fault::None).count();
        assert!((8_000..8_500).contains(&none), "{none}");
        for rare in [Fault::ForeignCertificate, Fault::Replay, Fault::TrialFails] {
            assert!(draw(1).contains(&rare), "{rare:?}");
        }
    }
}
