//! Every input that is kept, tried once.

use std::{fs, path::PathBuf};

use crate::TARGETS;

pub(crate) fn try_all() {
    let corpus = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus"));
    for folder in fs::read_dir(&corpus).unwrap() {
        let folder = folder.unwrap().file_name();
        assert!(TARGETS.iter().any(|(name, _)| **name == folder), "{folder:?} is the corpus of no target");
    }
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        eprintln!("with an input of fuzz/corpus; `cargo xtask fuzz` says with which");
        hook(panic);
    }));
    let mut tried = 0;
    for (name, try_out) in TARGETS {
        let inputs = fs::read_dir(corpus.join(name)).unwrap_or_else(|_| panic!("{name} has no folder in fuzz/corpus"));
        for input in inputs {
            try_out(&fs::read(input.unwrap().path()).unwrap());
            tried += 1;
        }
    }
    eprintln!("{tried} inputs of {} targets", TARGETS.len());
}
