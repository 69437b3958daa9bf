"""C for training: source archives of permissively licensed packages, from the package index, by their hashes."""

from __future__ import annotations

import argparse
import hashlib
import io
import tarfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from training.corpus import LARGEST_FILE, Source

FILES = "https://files.pythonhosted.org/packages"
SKIPPED_FOLDERS = ("test", "tests", "testing", "examples", "docs", "benchmarks", "fuzz")
SMALLEST_FILE = 400  # characters
COPYLEFT = "General Public License"  # a file that names it is not read


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A source distribution on the package index; `licence` as declared (zstd: BSD or GPL, taken as BSD)."""

    package: str
    version: str
    licence: str
    path: str
    file: str
    sha256: str


ARCHIVES: tuple[Archive, ...] = (
    Archive(
        package="psutil",
        version="7.2.2",
        licence="BSD-3-Clause",
        path="aa/c6/d1ddf4abb55e93cebc4f2ed8b5d6dbad109ecb8d63748dd2b20ab5e57ebe",
        file="psutil-7.2.2.tar.gz",
        sha256="0746f5f8d406af344fd547f1c8daa5f5c33dbc293bb8d6a16d80b4bb88f59372",
    ),
    Archive(
        package="hiredis",
        version="3.5.0",
        licence="BSD-3-Clause AND MIT",
        path="b4/72/64065841e93c3b8b507d7889d7de371e5f397b5efd60f18c2d82d5bd3636",
        file="hiredis-3.5.0.tar.gz",
        sha256="c227592cc56b7df247abe4755c26723965be68972be2149fa441ac33d82131ba",
    ),
    Archive(
        package="zstandard",
        version="0.25.0",
        licence="BSD-3-Clause",
        path="fd/aa/3e0508d5a5dd96529cdc5a97011299056e14c6505b678fd58938792794b1",
        file="zstandard-0.25.0.tar.gz",
        sha256="7713e1179d162cf5c7906da876ec2ccb9c3a9dcbdffef0cc7f70c3667a205f0b",
    ),
    Archive(
        package="uvloop",
        version="0.23.0",
        licence="MIT",
        path="fa/42/02c739ce85fb2ee8d99212c61417da8140c6b87e9d97c430bea520d76044",
        file="uvloop-0.23.0.tar.gz",
        sha256="28d160f51ab4da3b187063652e643dea6831072add4adc1e6d62afbe73b6be27",
    ),
    Archive(
        package="lz4",
        version="4.4.5",
        licence="BSD-3-Clause",
        path="57/51/f1b86d93029f418033dddf9b9f79c8d2641e7454080478ee2aab5123173e",
        file="lz4-4.4.5.tar.gz",
        sha256="5f0b9e53c1e82e88c10d7c180069363980136b9d7a8306c4dca4f760d60c39f0",
    ),
    Archive(
        package="brotli",
        version="1.2.1",
        licence="MIT",
        path="cf/81/1546c983678a9b4e77cb4718eaedd1b2caf24a6cdbf1eb8775938d22aff7",
        file="brotli-1.2.1.tar.gz",
        sha256="02b2f7b5a83485efe448a44ddf7983def05c3bb1dcf917d4f7154070260e13de",
    ),
    Archive(
        package="xxhash",
        version="4.1.0",
        licence="BSD-2-Clause",
        path="c9/b5/3d11d3830ace56d67ea83136c24385c3b07da5a9bc62b73b0b94ac096da3",
        file="xxhash-4.1.0.tar.gz",
        sha256="c9b288e4c1f5dae54417bc8a05e6f6daf505783d916b4783f4dd2f2e7d5db486",
    ),
    Archive(
        package="pycares",
        version="5.2.1",
        licence="MIT",
        path="c9/f3/4df974f2f902fdcec81087773f37eaedc7c8308291fb3f15da7ff21a5b88",
        file="pycares-5.2.1.tar.gz",
        sha256="3e89edc56a3745046676207958bf3dbf2971c5df0d64de9f7a893eba8bf255b4",
    ),
    Archive(
        package="greenlet",
        version="3.5.6",
        licence="MIT AND PSF-2.0",
        path="3e/6e/0091f175ccd02b02bc8811bbcbcc6ac2e980be116e3b2f7a736ca322bf84",
        file="greenlet-3.5.6.tar.gz",
        sha256="8e67c43bdfc88d5fee6db0d3e40175b362fc95fb85f0412d233b9b203c53a575",
    ),
    Archive(
        package="bitarray",
        version="3.12.3",
        licence="PSF-2.0",
        path="a9/cc/aa09a20048dd650d9a36bd70c26b2688413066d65acc9f484f94b9929108",
        file="bitarray-3.12.3.tar.gz",
        sha256="919e35a951c0a551631b94bf568f3f5e38d004e0c60866cb2ca51bd8c4778fec",
    ),
    Archive(
        package="mmh3",
        version="5.3.1",
        licence="MIT",
        path="8d/3c/eb1d82a87c504259dac5ce1c7de7587b68ffac841b55d23f8ea2c9df8422",
        file="mmh3-5.3.1.tar.gz",
        sha256="bd86d0c86b52332319d981d03781ff77811a29db544a69902dc06b5506bb3e19",
    ),
    Archive(
        package="multidict",
        version="7.2.1",
        licence="Apache-2.0",
        path="7b/6b/29ef8e752f5854dcc267ded0652c475bec99b86f255957a0d4fcad657b18",
        file="multidict-7.2.1.tar.gz",
        sha256="e8af3e6f1bdbc31fd762b094133b478b89988eaebc63cbe82b1d9e3bbd15cede",
    ),
    Archive(
        package="httptools",
        version="0.9.0",
        licence="MIT",
        path="3a/ec/deed52912ab7ca6c0b12859330c571c60c61d7267b341b28951fcbf13694",
        file="httptools-0.9.0.tar.gz",
        sha256="d484ebb7e3a3f3597b0f645fbd1b85633674ca808c1f5ba11c2caf7c66f5c8b6",
    ),
    Archive(
        package="simplejson",
        version="4.3.0",
        licence="MIT",
        path="8c/c1/33e537d655a55e983c247cd794378d8206228621f1420f889f4643315adc",
        file="simplejson-4.3.0.tar.gz",
        sha256="ffe34ab51a0d37e6d1c661a5672df00d2d5e18804e38eac07abffb83fa5ec3d7",
    ),
    Archive(
        package="setproctitle",
        version="1.3.8",
        licence="BSD-3-Clause",
        path="49/b0/6b8a516c5a9e9630bd5293db78314ac012f690305fe93beadea388626efb",
        file="setproctitle-1.3.8.tar.gz",
        sha256="cafe209d064a6efb88cb45a03e97981ff8832802b2b5d009dde0197a3b7b41c8",
    ),
    Archive(
        package="cffi",
        version="2.1.1",
        licence="MIT-0",
        path="9e/ef/008a1939e372c06329a3fce4279c02f328488f3526744906eeec3da7ad5f",
        file="cffi-2.1.1.tar.gz",
        sha256="dd31f52ea1086513bb9df30f8fcee9b8918323ae067a3d5b78bc826a000712be",
    ),
    Archive(
        package="tree-sitter",
        version="0.26.1",
        licence="MIT",
        path="e6/ca/3d69b21b2328dadee34a6cae65bc84e2b4e0c72bfb9147b7a2d4ba8110a0",
        file="tree_sitter-0.26.1.tar.gz",
        sha256="9919cbaf02d17fa9a4cd0e6da496aecf901b758e6eacf122eee393e3ef08aacd",
    ),
    Archive(
        package="pymongo",
        version="4.20.1",
        licence="Apache-2.0",
        path="55/f8/a2aa941595375bab103fa23b91c8d0425289ba05537f0701b7102f01159d",
        file="pymongo-4.20.1.tar.gz",
        sha256="1ac112b3ffa3d010cfc2fc54e3ae677a12c63d18c6115db4451df64f1a1175eb",
    ),
    Archive(
        package="argon2-cffi-bindings",
        version="26.2.0",
        licence="MIT AND CC0-1.0",
        path="76/3b/f7bd1daac24c7017b6d09d05c56bb3f71aaae76b2ac4234ed2c00e0dd2d2",
        file="argon2_cffi_bindings-26.2.0.tar.gz",
        sha256="f21ab89bb9850f32b9ca038d9961424bb0d3669d579cbbbfed068cffa6fc0643",
    ),
    Archive(
        package="pynacl",
        version="1.6.2",
        licence="Apache-2.0 AND ISC",
        path="d9/9a/4019b524b03a13438637b11538c82781a5eda427394380381af8f04f467a",
        file="pynacl-1.6.2.tar.gz",
        sha256="018494d6d696ae03c7e656e5e74cdfd8ea1326962cc401bcf018f1ed8436811c",
    ),
    Archive(
        package="numpy",
        version="2.5.5",
        licence="BSD-3-Clause",
        path="4e/3a/8770c288c47f0b5c2a786d3c20e79f66fd245f2d42cd232d7cd5e00e83e5",
        file="numpy-2.5.5.tar.gz",
        sha256="5cddc243c75114ba845f01b1f87aca1572dbf7b6c2d88636ed3e1d2bccd7f1bf",
    ),
    Archive(
        package="blosc2",
        version="4.14.1",
        licence="BSD-3-Clause",
        path="6b/b4/71c95a7f46a13e81819e8e36607d1f2a45141830e4d7156b7e9e3a13a0bd",
        file="blosc2-4.14.1.tar.gz",
        sha256="b5adb408854260acf64aca5c351ab1307bcb7c71d112e3049d8541c1e2f9b222",
    ),
    Archive(
        package="wrapt",
        version="2.5.2",
        licence="BSD-2-Clause",
        path="9c/b0/f752d19e1e83ab8bd64aeccfde32ff086aee3ef08520f7340b69a8d0a4d2",
        file="wrapt-2.5.2.tar.gz",
        sha256="551cb49e88b3722faad780303833bc4fa70685fb1773270fb98b40d39d9fddbf",
    ),
    Archive(
        package="coverage",
        version="7.17.5",
        licence="Apache-2.0",
        path="b1/a8/6c44415a740290c66451e664bc42f835d65a17888be2bb17e87d6d7a27b8",
        file="coverage-7.17.5.tar.gz",
        sha256="4f41d35b798714a2e79ec2097d6b03c92cd3b7de58e422fce7a1ca2c0c25b276",
    ),
    Archive(
        package="markupsafe",
        version="3.0.4",
        licence="BSD-3-Clause",
        path="38/9b/e422a865e1d5d57d0e509b4e0bf1c1a70a7f6382c29a5aa428df994c8bc8",
        file="markupsafe-3.0.4.tar.gz",
        sha256="2e9ad7dd851bf45fab9f75cbff4cb493fee9979e8d8c7c9c3ee119022518edd6",
    ),
)


def archive_path(folder: Path, archive: Archive) -> Path:
    return folder / archive.file


def fetch(folder: Path) -> None:
    """Download every archive that is not there yet; one whose hash differs is refused."""
    folder.mkdir(parents=True, exist_ok=True)
    for archive in ARCHIVES:
        path = archive_path(folder, archive)
        if path.is_file():
            continue
        with urllib.request.urlopen(f"{FILES}/{archive.path}/{archive.file}", timeout=300) as answer:
            data = answer.read()
        if hashlib.sha256(data).hexdigest() != archive.sha256:
            raise ValueError(f"{archive.package} {archive.version} is not the archive that was pinned.")
        path.write_bytes(data)
        print(f"{path.name}: {len(data) / 1e6:.1f} MB", flush=True)


def c_texts(folder: Path) -> Iterator[tuple[Source, str]]:
    """Every readable C file of the archives in `folder`, in a fixed order.

    Raises: ValueError where an archive is not the pinned one.
    """
    for archive in ARCHIVES:
        data = archive_path(folder, archive).read_bytes()
        if hashlib.sha256(data).hexdigest() != archive.sha256:
            raise ValueError(f"{archive.package} {archive.version} is not the archive that was pinned.")
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as members:
            for member in sorted(members.getmembers(), key=lambda member: member.name):
                path = PurePosixPath(member.name)
                if path.suffix != ".c" or not member.isfile() or not SMALLEST_FILE <= member.size <= LARGEST_FILE:
                    continue
                if any(part in SKIPPED_FOLDERS for part in path.parts):
                    continue
                file = members.extractfile(member)
                try:
                    text = file.read().decode() if file else ""
                except UnicodeDecodeError:
                    continue
                if not text or COPYLEFT in text:
                    continue
                yield (
                    Source(
                        origin=archive.package,
                        licence=archive.licence,
                        name=str(path),
                        version=archive.version,
                        sha256=hashlib.sha256(text.encode()).hexdigest(),
                    ),
                    text.replace("\r\n", "\n"),
                )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the archives go")
    fetch(parser.parse_args().folder)
