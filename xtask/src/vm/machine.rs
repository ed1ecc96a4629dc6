//! What all guests have in common: the tests, the programs that they run, and the files that those read.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use super::{
    Boot,
    initramfs::Initramfs,
    kernel::{Kernel, Release},
    modules,
    qemu::Accelerator,
    suites::{self, Selection},
};
use crate::{
    build::{Artifacts, OBJECT_VARIABLE},
    run::{find, loudly, output, say},
    setup,
};

/// Where what the tests run is in the guest.
const PROGRAMS: &str = "/usr/bin";
const LIBRARIES: &str = "/usr/lib/lab";
/// Where C libraries look for a shell, whatever the path is.
const SHELL: &str = "/bin/sh";
/// Programs of every Debian host that the lab runs beside its own: for its network, for the page that the documentation test types in, and a
/// terminal for what asks before it acts.
const OF_EVERY_HOST: [&str; 7] = ["cut", "ls", "script", "setpriv", "sh", "ss", "tc"];

/// What guests are made of but their kernel.
pub(crate) struct Machine {
    directory: PathBuf,
    programs: Vec<(PathBuf, String)>,
    /// What PID 1 runs, a line each.
    list: String,
    environment: String,
    libraries: Option<PathBuf>,
    object: PathBuf,
    /// What openssl reads before it does anything, and where.
    openssl: (String, PathBuf),
    /// What is not run in guests, a line each.
    pub(super) left_out: Vec<String>,
}

impl Machine {
    /// Builds what runs in the guest and finds what runs it.
    pub(crate) fn prepare(artifacts: &Artifacts, selections: &[Selection]) -> Result<Self> {
        if std::env::consts::ARCH != "x86_64" {
            bail!("guests are made for x86_64 only");
        }
        setup::guests::ensure()?;
        let lab = setup::lab::ensure()?;
        say("building what runs in the guests");
        loudly(artifacts.cargo("build").args(["--bin", "vm-init", "--bin", "verifier-counts"]))?;
        let built = |name: &str| artifacts.mtls_filter.with_file_name(name);
        let mut programs = vec![
            (built("vm-init"), "/init".to_owned()),
            (built("verifier-counts"), "/verifier-counts".to_owned()),
            (artifacts.mtls_filter.clone(), "/mtls-filter".to_owned()),
            (found("sh")?, SHELL.to_owned()),
        ];
        // An interpreter is nothing without its library, and often a script that chooses one: what needs Python runs on hosts.
        let lab_programs = lab.each().into_iter().filter(|(name, _)| *name != "python3");
        programs.extend(lab_programs.map(|(name, path)| (path.to_owned(), format!("{PROGRAMS}/{name}"))));
        for name in OF_EVERY_HOST {
            programs.push((found(name)?, format!("{PROGRAMS}/{name}")));
        }
        let executables = suites::build(artifacts, selections)?;
        programs.extend(executables.into_iter().map(|(suite, executable)| (executable, format!("/{suite}"))));
        let mut list = "verifier /verifier-counts\n".to_owned();
        for selection in selections {
            list += &format!("{}\n", selection.line());
        }
        let environment = format!(
            "PATH={PROGRAMS}\nHOME=/tmp\nMTLS_FILTER_LAB_BINARY=/mtls-filter\nMTLS_FILTER_LAB_OBJECT=/object\n\
             {OBJECT_VARIABLE}=/object\n\
             MTLS_FILTER_LAB_NGINX={PROGRAMS}/nginx\nMTLS_FILTER_LAB_LIBRARIES={LIBRARIES}\n"
        );
        let directory = artifacts.mtls_filter.with_file_name("vm");
        fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
        Ok(Self {
            directory,
            programs,
            list,
            environment,
            libraries: lab.libraries,
            object: artifacts.object.clone(),
            openssl: openssl_configuration(&lab.openssl)?,
            left_out: suites::left_out_of(selections),
        })
    }

    /// Gets a kernel ready.
    pub(crate) fn boot(&self, release: Release, refresh: bool) -> Result<Boot> {
        let kernel = Kernel::ensure(release, refresh)?;
        let initramfs = self.initramfs(release, &kernel)?;
        let console = self.directory.join(format!("{}.console", release.name));
        let accelerator = Accelerator::choose(&kernel, &initramfs, &console);
        Ok(Boot { release, kernel, initramfs, console, accelerator })
    }

    fn initramfs(&self, release: Release, kernel: &Kernel) -> Result<PathBuf> {
        let mut files = Initramfs::default();
        for (source, path) in &self.programs {
            files.program(path, source, self.libraries.as_deref())?;
        }
        if let Some(libraries) = &self.libraries {
            add_libraries(&mut files, libraries)?;
        }
        files.file("/object", &self.object);
        let mut list = String::new();
        for (number, module) in modules::collect(&kernel.modules)?.into_iter().enumerate() {
            let path = format!("/modules/{number}-{}.ko", module.name);
            list += &format!("{path}\n");
            files.bytes(&path, module.object);
        }
        files.bytes("/modules.list", list);
        files.bytes("/programs.list", self.list.as_str());
        files.bytes("/environment.list", self.environment.as_str());
        files.bytes("/etc/passwd", format!("root:x:0:0:root:/tmp:{SHELL}\nnobody:x:65534:65534:nobody:/tmp:{SHELL}\n"));
        files.bytes("/etc/group", "root:x:0:\nnogroup:x:65534:\n");
        files.bytes("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n");
        let (path, configuration) = &self.openssl;
        files.file(path, configuration);
        let archive = self.directory.join(format!("{}.cpio", release.name));
        files.write(&archive)?;
        Ok(archive)
    }
}

fn found(program: &str) -> Result<PathBuf> {
    find(program).with_context(|| format!("{program} is not in PATH"))
}

/// Where openssl looks for its configuration, and the file that is there on this host.
fn openssl_configuration(openssl: &Path) -> Result<(String, PathBuf)> {
    // `OPENSSLDIR: "/usr/lib/ssl"`.
    let said = output(Command::new(openssl).args(["version", "-d"]))?;
    let directory =
        said.split('"').nth(1).with_context(|| format!("openssl names no directory of its own: {said:?}"))?;
    let path = format!("{directory}/openssl.cnf");
    let file = fs::canonicalize(&path).with_context(|| format!("openssl has no configuration at {path}"))?;
    Ok((path, file))
}

/// The libraries that came with nginx.
fn add_libraries(files: &mut Initramfs, libraries: &Path) -> Result<()> {
    let entries = fs::read_dir(libraries).with_context(|| format!("cannot read {}", libraries.display()))?;
    for entry in entries {
        let path = entry?.path();
        if let Some(name) = path.file_name().and_then(|name| name.to_str()).filter(|_| path.is_file()) {
            files.file(&format!("{LIBRARIES}/{name}"), &path);
        }
    }
    Ok(())
}
