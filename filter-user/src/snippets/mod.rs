//! How clients use their certificate: texts to copy, for the programs that ask for one most often.

/// A text to copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snippet {
    /// What it is for, as callers name it.
    pub target: &'static str,
    /// What it is for, for people.
    pub title: &'static str,
    /// The language it is in.
    pub language: &'static str,
    template: &'static str,
}

/// Every snippet there is.
pub const SNIPPETS: [Snippet; 5] = [
    Snippet { target: "curl", title: "curl", language: "sh", template: include_str!("curl.sh") },
    Snippet { target: "python", title: "Python", language: "python", template: include_str!("client.py") },
    Snippet { target: "android", title: "Android", language: "kotlin", template: include_str!("Client.kt") },
    Snippet { target: "ios", title: "iOS", language: "swift", template: include_str!("Client.swift") },
    Snippet { target: "iot", title: "IoT device (ESP-IDF)", language: "c", template: include_str!("client.c") },
];

impl Snippet {
    /// The text for a host, with the certificate and its key in files of this name.
    pub fn text(&self, host: &str, file: &str) -> String {
        self.template.replace("{host}", host).replace("{file}", file)
    }
}

/// The name of the files of a certificate: its common name, without what a file name, a command line or a string cannot or should not
/// have. Whoever asked for the certificate chose it.
pub fn file_stem(common_name: &str) -> String {
    let safe = |c: char| if c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '@') { c } else { '_' };
    let stem: String = common_name.chars().map(safe).collect();
    if stem.is_empty() || stem.starts_with(['.', '-', '@']) { format!("_{stem}") } else { stem }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_snippet_names_the_host_and_the_files_and_nothing_is_left_open() {
        for snippet in SNIPPETS {
            let text = snippet.text("api.example.com", "phone-1");
            for expected in ["https://api.example.com/", "phone-1.crt", "phone-1.key"] {
                assert!(text.contains(expected), "{}: {expected}\n{text}", snippet.target);
            }
            assert!(!text.contains("{host}") && !text.contains("{file}"), "{text}");
        }
    }

    #[test]
    fn a_common_name_gets_no_further_than_a_file_name() {
        for (name, stem) in [
            ("phone-1", "phone-1"),
            ("a@b.example", "a@b.example"),
            ("../../etc/passwd", "_.._.._etc_passwd"),
            ("-o x; rm \"$HOME\"\n", "_-o_x__rm___HOME__"),
            ("@x", "_@x"),
            ("{host}", "_host_"),
            ("", "_"),
        ] {
            assert_eq!(file_stem(name), stem, "{name:?}");
        }
    }
}
