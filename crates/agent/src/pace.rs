use std::time::Duration;

use model::Random;

/// How a device paces itself. The defaults are for the field; simulations and tests go faster.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    /// The first and the longest pause between tries to reach the backend.
    pub retry: (Duration, Duration),
    /// How long a push stream may be silent before it counts as broken.
    pub push_silence: Duration,
    /// How long a device that is about to boot new software waits for an answer whether the release was
    /// withdrawn.
    pub withdrawal_wait: Duration,
    /// The longest pause between two check-ins, whatever the backend asks for.
    pub longest_poll: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            retry: (Duration::from_secs(1), Duration::from_secs(300)),
            push_silence: Duration::from_secs(150),
            withdrawal_wait: Duration::from_secs(3_600),
            longest_poll: Duration::from_secs(86_400),
        }
    }
}

/// Pauses that double up to a limit, each drawn from the upper half, so that devices which lost the
/// backend together do not come back together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) const fn new((first, longest): (Duration, Duration)) -> Self {
        Self { first, longest, next: first }
    }

    /// The next pause.
    pub(crate) fn next(&mut self, random: &mut (impl Random + ?Sized)) -> Duration {
        let pause = jittered(self.next, random);
        self.next = (self.next * 2).min(self.longest);
        pause
    }

    /// Begins anew after a success.
    pub(crate) const fn reset(&mut self) {
        self.next = self.first;
    }
}

/// Between half of `pause` and the whole.
pub(crate) fn jittered(pause: Duration, random: &mut (impl Random + ?Sized)) -> Duration {
    let mut bytes = [0; 2];
    random.fill(&mut bytes);
    pause / 2 + pause.mul_f64(f64::from(u16::from_be_bytes(bytes)) / f64::from(u16::MAX) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(u8);

    impl Random for Fixed {
        fn fill(&mut self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_begin_anew() {
        let secs = Duration::from_secs;
        let mut backoff = Backoff::new((secs(1), secs(5)));
        let pauses: Vec<_> = (0..5).map(|_| backoff.next(&mut Fixed(0xff))).collect();
        assert_eq!(pauses, [secs(1), secs(2), secs(4), secs(5), secs(5)]);
        backoff.reset();
        assert_eq!(backoff.next(&mut Fixed(0)), Duration::from_millis(500));
    }
}
