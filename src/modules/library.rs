//! Modules on disk: `<modulesPath>/<module>/<version>/*.yaml`, with `dependencies/` and `extras/` below.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::Serialize;
use thiserror::Error;

use crate::{
    config::problems::{Problems, nearest},
    modules::{
        module::{DEPENDENCIES, FILES_MAX, Module},
        template::FILE_BYTES_MAX,
    },
};

/// The version that is meant where none is said.
pub const LATEST: &str = "latest";

/// The folder of what is never applied.
const EXTRAS: &str = "extras";

/// Entries of a folder that are looked at: with more something else is the matter.
const ENTRIES_MAX: usize = 1000;

/// Bytes of all templates of a version: its objects may have half of that, and as trees they take much more.
const MODULE_BYTES_MAX: usize = 2 << 20;

/// The longest name of a module or of a version.
const NAME_MAX: usize = 100;

/// A module by name, and one of its versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The module.
    pub module: String,
    /// The version; [`LATEST`] where none is said.
    pub version: Option<String>,
}

impl FromStr for Reference {
    type Err = LibraryError;

    /// `NAME` or `NAME@VERSION`.
    fn from_str(text: &str) -> Result<Self, LibraryError> {
        let (module, version) = text.split_once('@').map_or((text, None), |(module, version)| (module, Some(version)));
        for name in [Some(module), version].into_iter().flatten() {
            checked(name)?;
        }
        Ok(Self { module: module.to_owned(), version: version.map(str::to_owned) })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.module, self.version.as_deref().unwrap_or(LATEST))
    }
}

/// A module that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListedModule {
    /// Its name.
    pub name: String,
    /// Its versions, by name.
    pub versions: Vec<String>,
}

/// Why a module can't be had.
#[derive(Debug, Error)]
pub enum LibraryError {
    /// There is no folder of modules.
    #[error("there are no modules: app.modulesPath (MODULES_PATH) names no folder")]
    NoFolder,
    /// A name that no module or version has.
    #[error(
        "{0:?} is no name of a module or version: allowed are small letters, digits, `.` and `-`, a letter or digit first, at most {NAME_MAX}"
    )]
    BadName(String),
    /// There is no such module.
    #[error("there is no module \"{name}\"{hint}: {}", there(.known))]
    NoModule {
        /// As it was asked for.
        name: String,
        /// The nearest that is there.
        hint: String,
        /// All that are there.
        known: Vec<String>,
    },
    /// The module has no such version.
    #[error("the module \"{module}\" has no version \"{version}\"{hint}: {}", there(.known))]
    NoVersion {
        /// The module.
        module: String,
        /// As it was asked for.
        version: String,
        /// The nearest that is there.
        hint: String,
        /// All that are there.
        known: Vec<String>,
    },
    /// Something can't be read.
    #[error("{0} can't be read")]
    Unreadable(PathBuf, #[source] io::Error),
    /// A link that leads elsewhere.
    #[error("{0} leads out of the folder of modules: put the file itself there")]
    Outside(PathBuf),
    /// Something that is not allowed in the folder of a module.
    #[error("{0}: {1}")]
    Refused(PathBuf, String),
    /// Everything that is wrong with a module.
    #[error("the module {0} is wrong")]
    Wrong(Reference, #[source] Problems),
}

fn there(known: &[String]) -> String {
    if known.is_empty() { "there is none".into() } else { format!("there is {}", known.join(", ")) }
}

/// The folder of modules.
#[derive(Clone, Debug)]
pub struct Library {
    folder: Option<PathBuf>,
}

impl Library {
    /// A folder, as `app.modulesPath` has it; it is looked at anew each time. An empty one is none.
    pub fn new(folder: Option<PathBuf>) -> Self {
        Self { folder: folder.filter(|folder| !folder.as_os_str().is_empty()) }
    }

    /// What is there, by name. Nothing is opened.
    ///
    /// # Errors
    /// The folder is missing or can't be read.
    pub fn list(&self) -> Result<Vec<ListedModule>, LibraryError> {
        let folder = self.folder()?;
        let shelf = Shelf { root: &folder };
        let mut names = folders(&folder)?;
        // What a link has elsewhere is nobody's business.
        names.retain(|name| shelf.inside(&folder.join(name)).is_ok());
        names.into_iter().map(|name| Ok(ListedModule { versions: folders(&folder.join(&name))?, name })).collect()
    }

    /// Reads a module of which a version is said, or else [`LATEST`].
    ///
    /// # Errors
    /// See [`LibraryError`].
    pub fn open(&self, module: &str, version: Option<&str>) -> Result<Module, LibraryError> {
        let version = version.unwrap_or(LATEST);
        checked(module)?;
        checked(version)?;
        let root = self.folder()?;
        let known = folders(&root)?;
        if !known.iter().any(|name| name == module) {
            let hint = nearest(module, known.iter().map(String::as_str));
            return Err(LibraryError::NoModule { name: module.to_owned(), hint, known });
        }
        let shelf = Shelf { root: &root };
        shelf.inside(&root.join(module))?;
        let known = folders(&root.join(module))?;
        if !known.iter().any(|name| name == version) {
            let hint = nearest(version, known.iter().map(String::as_str));
            return Err(LibraryError::NoVersion {
                module: module.to_owned(),
                version: version.to_owned(),
                hint,
                known,
            });
        }
        let files = shelf.files(&root.join(module).join(version))?;
        Module::read(module, version, files).map_err(|problems| {
            let reference = Reference { module: module.to_owned(), version: Some(version.to_owned()) };
            LibraryError::Wrong(reference, problems)
        })
    }

    /// The folder without links, so that what is in it can be told from what is not.
    fn folder(&self) -> Result<PathBuf, LibraryError> {
        let folder = self.folder.as_ref().ok_or(LibraryError::NoFolder)?;
        folder.canonicalize().map_err(|error| LibraryError::Unreadable(folder.clone(), error))
    }
}

fn checked(name: &str) -> Result<(), LibraryError> {
    if is_name(name) { Ok(()) } else { Err(LibraryError::BadName(name.to_owned())) }
}

/// Whether a module or a version may have this name.
fn is_name(name: &str) -> bool {
    let is_first = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= NAME_MAX && name.starts_with(is_first) && name.chars().all(|c| is_first(c) || matches!(c, '.' | '-'))
}

/// Names in a folder, in order. What begins with a dot is nobody's, as `..data` of a mounted ConfigMap.
fn entries(folder: &Path) -> Result<Vec<String>, LibraryError> {
    let unreadable = |error| LibraryError::Unreadable(folder.to_owned(), error);
    let mut names = vec![];
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        if names.len() == ENTRIES_MAX {
            return Err(LibraryError::Refused(folder.to_owned(), format!("more than {ENTRIES_MAX} files in it")));
        }
        let name = entry.map_err(unreadable)?.file_name();
        let name = name
            .into_string()
            .map_err(|name| LibraryError::Refused(folder.join(name), "its name is no text".into()))?;
        names.extend(Some(name).filter(|name| !name.starts_with('.')));
    }
    names.sort();
    Ok(names)
}

/// The folders in a folder that modules or versions can be.
fn folders(folder: &Path) -> Result<Vec<String>, LibraryError> {
    let names = entries(folder)?;
    Ok(names.into_iter().filter(|name| is_name(name) && folder.join(name).is_dir()).collect())
}

/// The files below one root.
struct Shelf<'a> {
    root: &'a Path,
}

impl Shelf<'_> {
    /// The templates of a version: path below its folder, and text.
    fn files(&self, folder: &Path) -> Result<Vec<(String, String)>, LibraryError> {
        self.inside(folder)?;
        let mut files = vec![];
        for name in entries(folder)? {
            let path = folder.join(&name);
            match name.as_str() {
                _ if !path.is_dir() => self.take(&mut files, (folder, &path), name)?,
                DEPENDENCIES => {
                    self.inside(&path)?;
                    for name in entries(&path)? {
                        self.take(&mut files, (folder, &path.join(&name)), format!("{DEPENDENCIES}/{name}"))?;
                    }
                }
                EXTRAS => {}
                _ => {
                    let what = format!("an unknown folder: allowed are {DEPENDENCIES} and {EXTRAS}");
                    return Err(LibraryError::Refused(path, what));
                }
            }
        }
        Ok(files)
    }

    /// One file more, if it is a template.
    fn take(
        &self,
        files: &mut Vec<(String, String)>,
        (folder, path): (&Path, &Path),
        name: String,
    ) -> Result<(), LibraryError> {
        files.extend(self.template(path, name)?);
        if files.len() > FILES_MAX {
            return Err(LibraryError::Refused(folder.to_owned(), format!("more than {FILES_MAX} templates in it")));
        }
        let bytes: usize = files.iter().map(|(_, text)| text.len()).sum();
        if bytes > MODULE_BYTES_MAX {
            let what = format!("its templates have more than {MODULE_BYTES_MAX} bytes: make two modules of it");
            return Err(LibraryError::Refused(folder.to_owned(), what));
        }
        Ok(())
    }

    /// A link may lead anywhere below the root, as those of a mounted ConfigMap do.
    fn inside(&self, path: &Path) -> Result<(), LibraryError> {
        let real = path.canonicalize().map_err(|error| LibraryError::Unreadable(path.to_owned(), error))?;
        if real.starts_with(self.root) { Ok(()) } else { Err(LibraryError::Outside(path.to_owned())) }
    }

    /// The text of a template; nothing of a file that is none.
    fn template(&self, path: &Path, name: String) -> Result<Option<(String, String)>, LibraryError> {
        let is_yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        if !is_yaml {
            return Ok(None);
        }
        self.inside(path)?;
        let unreadable = |error| LibraryError::Unreadable(path.to_owned(), error);
        // Not its size: a pipe has none.
        if !fs::metadata(path).map_err(unreadable)?.is_file() {
            return Err(LibraryError::Refused(path.to_owned(), "it is no file".into()));
        }
        let mut bytes = vec![];
        let most = FILE_BYTES_MAX as u64 + 1;
        File::open(path).map_err(unreadable)?.take(most).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() > FILE_BYTES_MAX {
            let what = format!("it has more than {FILE_BYTES_MAX} bytes: make two files of it");
            return Err(LibraryError::Refused(path.to_owned(), what));
        }
        let text = String::from_utf8(bytes)
            .map_err(|error| LibraryError::Refused(path.to_owned(), format!("it is no text: {error}")))?;
        Ok(Some((name, text)))
    }
}
