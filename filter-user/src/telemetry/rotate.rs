//! A file of lines that is put aside when it is full: `events.jsonl`, `events.jsonl.1`, `events.jsonl.2`, …, the oldest last.
//!
//! The crates that rotate files bring the `chrono` crate along, and write lines that are larger than a file; this needs neither.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Most files of one log, the one that is written included.
pub const MAX_FILES: usize = 100;

/// Bytes that are written at once. Longer than any line, so that a full disk leaves no half of one: what could not be written is written
/// when there is room.
const BUFFER: usize = 256 * 1024;

/// Where lines go, and how much of them is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// The file that is written.
    pub path: PathBuf,
    /// Bytes after which it is put aside.
    pub size: u64,
    /// Files that are kept, the one that is written included.
    pub files: usize,
}

impl Rotation {
    /// The file of a number: 0 is the one that is written.
    fn file(&self, number: usize) -> PathBuf {
        if number == 0 {
            return self.path.clone();
        }
        let mut name = OsString::from(&self.path);
        name.push(format!(".{number}"));
        name.into()
    }

    /// Calls `line` with every line of the newest files that together hold at least `bytes`, the oldest first.
    pub(super) fn read_back(&self, bytes: u64, mut line: impl FnMut(&str)) -> io::Result<()> {
        let mut held = 0;
        let mut files = Vec::new();
        for path in (0..self.files).map(|number| self.file(number)) {
            match File::open(&path) {
                Ok(file) if held < bytes => {
                    held = file.metadata()?.len().saturating_add(held);
                    files.push(file);
                }
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        for file in files.into_iter().rev() {
            for bytes in BufReader::new(file).split(b'\n') {
                if let Ok(text) = str::from_utf8(&bytes?) {
                    line(text);
                }
            }
        }
        Ok(())
    }
}

/// The file that is written. Each call of [`Write::write`] takes one whole line.
#[derive(Debug)]
pub(super) struct RotatingFile {
    rotation: Rotation,
    file: BufWriter<File>,
    length: u64,
}

impl RotatingFile {
    /// Goes on with the file that is there, or makes one with mode 0640; removes files that are too many.
    pub(super) fn open(rotation: Rotation) -> io::Result<Self> {
        for number in rotation.files..MAX_FILES {
            remove(&rotation.file(number))?;
        }
        let (file, length) = open(&rotation.path)?;
        Ok(Self { rotation, file, length })
    }

    /// Puts the file aside and begins a new one.
    fn rotate(&mut self) -> io::Result<()> {
        self.file.flush()?;
        // It is not there if an earlier attempt failed after it was put aside; the others must not move once more then.
        if self.rotation.path.try_exists()? {
            self.put_aside()?;
        }
        (self.file, self.length) = open(&self.rotation.path)?;
        Ok(())
    }

    fn put_aside(&self) -> io::Result<()> {
        let oldest = self.rotation.files.saturating_sub(1);
        remove(&self.rotation.file(oldest))?;
        for number in (0..oldest).rev() {
            match fs::rename(self.rotation.file(number), self.rotation.file(number.saturating_add(1))) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }
}

impl Write for RotatingFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
        if self.length > 0 && self.length.saturating_add(length) > self.rotation.size {
            self.rotate()?;
        }
        self.file.write_all(line)?;
        self.length = self.length.saturating_add(length);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Opens a file to append to, and says how long it is. Half a line, left by a crash, is ended.
fn open(path: &Path) -> io::Result<(BufWriter<File>, u64)> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o640).open(path)?;
    let mut length = file.metadata()?.len();
    if length > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != [b'\n'] {
            file.write_all(b"\n")?;
            length = length.saturating_add(1);
        }
    }
    Ok((BufWriter::with_capacity(BUFFER, file), length))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rotation(directory: &Path, size: u64, files: usize) -> Rotation {
        Rotation { path: directory.join("events.jsonl"), size, files }
    }

    fn contents(directory: &Path) -> Vec<(String, String)> {
        let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        let content = |path: PathBuf| {
            (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(&path).unwrap())
        };
        let mut contents: Vec<_> = entries.map(content).collect();
        contents.sort();
        contents
    }

    fn named(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(name, content)| ((*name).to_owned(), (*content).to_owned())).collect()
    }

    #[test]
    fn a_file_is_put_aside_one_byte_past_its_size_and_the_oldest_goes() {
        let directory = tempfile::tempdir().unwrap();
        let mut file = RotatingFile::open(rotation(directory.path(), 8, 3)).unwrap();
        for line in ["a23\n", "b23\n", "c2345678901\n", "d2345\n", "e\n", "f\n"] {
            file.write_all(line.as_bytes()).unwrap();
        }
        file.flush().unwrap();
        let expected = [("events.jsonl", "f\n"), ("events.jsonl.1", "d2345\ne\n"), ("events.jsonl.2", "c2345678901\n")];
        assert_eq!(contents(directory.path()), named(&expected), "a line longer than a file has one of its own");
    }

    #[test]
    fn as_many_files_are_kept_as_there_may_be_and_not_one_more() {
        let directory = tempfile::tempdir().unwrap();
        let rotation = rotation(directory.path(), 1, MAX_FILES);
        let mut file = RotatingFile::open(rotation.clone()).unwrap();
        let (mut written, mut kept) = (Vec::new(), Vec::new());
        for count in 1..=MAX_FILES + 1 {
            file.write_all(format!("{count}\n").as_bytes()).unwrap();
            file.flush().unwrap();
            written.push(count.to_string());
            kept.push(contents(directory.path()).len());
        }
        assert_eq!(kept, (1..=MAX_FILES).chain([MAX_FILES]).collect::<Vec<_>>());
        let mut read = Vec::new();
        rotation.read_back(u64::MAX, |line| read.push(line.to_owned())).unwrap();
        assert_eq!(read, written[1..], "the oldest is gone, and nothing else");
    }

    #[test]
    fn one_file_alone_begins_anew() {
        let directory = tempfile::tempdir().unwrap();
        let mut file = RotatingFile::open(rotation(directory.path(), 2, 1)).unwrap();
        file.write_all(b"a\n").unwrap();
        file.write_all(b"b\n").unwrap();
        file.flush().unwrap();
        assert_eq!(contents(directory.path()), named(&[("events.jsonl", "b\n")]));
    }

    #[test]
    fn a_file_that_is_there_is_gone_on_with_and_half_a_line_is_ended() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("events.jsonl"), "whole\nhal").unwrap();
        fs::write(directory.path().join("events.jsonl.2"), "of a configuration that kept more\n").unwrap();
        let rotation = rotation(directory.path(), 12, 2);
        let mut file = RotatingFile::open(rotation.clone()).unwrap();
        file.write_all(b"n\n").unwrap();
        file.write_all(b"o\n").unwrap();
        file.flush().unwrap();
        let expected = [("events.jsonl", "o\n"), ("events.jsonl.1", "whole\nhal\nn\n")];
        assert_eq!(contents(directory.path()), named(&expected));
        for (bytes, lines) in
            [(2, &["o"][..]), (3, &["whole", "hal", "n", "o"]), (u64::MAX, &["whole", "hal", "n", "o"])]
        {
            let mut read = Vec::new();
            rotation.read_back(bytes, |line| read.push(line.to_owned())).unwrap();
            assert_eq!(read, lines, "{bytes}");
        }
    }

    #[test]
    fn nothing_is_lost_of_a_file_that_cannot_be_put_aside() {
        let directory = tempfile::tempdir().unwrap();
        let mut file = RotatingFile::open(rotation(directory.path(), 4, 2)).unwrap();
        file.write_all(b"a23\n").unwrap();
        fs::create_dir(directory.path().join("events.jsonl.1")).unwrap();
        assert!(file.write_all(b"b\n").is_err());
        fs::remove_dir(directory.path().join("events.jsonl.1")).unwrap();
        file.write_all(b"c\n").unwrap();
        file.flush().unwrap();
        assert_eq!(contents(directory.path()), named(&[("events.jsonl", "c\n"), ("events.jsonl.1", "a23\n")]));
    }
}
