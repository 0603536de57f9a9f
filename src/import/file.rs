//! A file as it was given.

/// The largest file: an export of a whole namespace has less, and YAML takes many times its size in memory.
pub const FILE_BYTES_MAX: u64 = 10 << 20;

/// A file as it was given.
#[derive(Clone, Debug)]
pub struct File {
    /// Its name in remarks.
    pub name: String,
    /// What is in it; more than [`FILE_BYTES_MAX`] is refused.
    pub bytes: Vec<u8>,
}
