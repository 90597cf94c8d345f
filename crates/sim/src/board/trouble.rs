use std::ops::Range;

/// What goes wrong on a board's line and with its power, drawn from a seed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Trouble {
    /// Draws all of it.
    pub seed: u64,
    /// Of a million bytes, so many with a flipped bit.
    pub flips: u32,
    /// Of a million bytes, so many lost.
    pub drops: u32,
    /// The power goes at some flash operation of about so many; never where it is 0.
    pub power_cut_within: u32,
}

/// Trouble in the making.
#[derive(Clone, Debug)]
pub(super) struct Draw {
    trouble: Trouble,
    state: u64,
}

impl Trouble {
    pub(super) const fn draw(self) -> Draw {
        Draw { trouble: self, state: self.seed }
    }
}

impl Draw {
    /// What the line makes of these bytes.
    pub(super) fn damage(&mut self, bytes: &mut Vec<u8>) {
        let Trouble { flips, drops, .. } = self.trouble;
        if flips == 0 && drops == 0 {
            return;
        }
        let (flips, drops) = (u64::from(flips), u64::from(drops));
        bytes.retain_mut(|byte| {
            let draw = self.below(0..1_000_000);
            if (drops..drops + flips).contains(&draw) {
                *byte ^= 1 << self.below(0..8);
            }
            draw >= drops
        });
    }

    /// At which flash operation from now the power goes, if it does.
    pub(super) fn power_cut(&mut self) -> Option<u64> {
        let within = u64::from(self.trouble.power_cut_within);
        (within > 0).then(|| self.below(1..within + 1))
    }

    /// SplitMix64.
    const fn below(&mut self, range: Range<u64>) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        range.start + (z ^ (z >> 31)) % (range.end - range.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_brings_the_same_trouble_and_about_as_much_as_was_asked() {
        let trouble = Trouble { seed: 3, flips: 20_000, drops: 10_000, power_cut_within: 9 };
        let line = || {
            let (mut draw, mut bytes) = (trouble.draw(), vec![0; 100_000]);
            draw.damage(&mut bytes);
            (bytes, draw.power_cut())
        };
        let (bytes, cut) = line();
        assert_eq!((bytes.clone(), cut), line());
        let flipped = bytes.iter().filter(|byte| **byte != 0).count();
        assert!((1_500..2_500).contains(&flipped), "{flipped}");
        assert!((98_500..99_500).contains(&bytes.len()), "{}", bytes.len());
        assert!((1..=9).contains(&cut.unwrap()));
        let mut calm = Trouble::default().draw();
        let mut bytes = vec![7; 9];
        calm.damage(&mut bytes);
        assert_eq!((bytes, calm.power_cut()), (vec![7; 9], None));
    }
}
