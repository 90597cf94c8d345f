/// A source of cryptographically secure random bytes.
///
/// Pure crates take it as an argument, so that tests can replay what they did.
pub trait Random {
    /// Fills the whole of `bytes`.
    fn fill(&mut self, bytes: &mut [u8]);
}

impl<R: Random + ?Sized> Random for &mut R {
    fn fill(&mut self, bytes: &mut [u8]) {
        (**self).fill(bytes);
    }
}
