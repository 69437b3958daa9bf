"""Course material arrives as zip archives and is unpacked for the players."""
import os
import shutil
import zipfile

MAX_TOTAL = 10_000_000


def total_size(archive):
    return sum(info.file_size for info in archive.infolist())


def copy(source, out):
    shutil.copyfileobj(source, out, 16384)


def pack(folder, target):
    with zipfile.ZipFile(target, "w") as archive:
        for name in sorted(os.listdir(folder)):
            with open(os.path.join(folder, name), "rb") as source, archive.open(name, "w") as out:
                copy(source, out)


def unpack(source, dest):
    """Unpack the zip archive source into the folder dest and return the number of files."""
    count = 0
    with zipfile.ZipFile(source) as archive:
        if total_size(archive) > MAX_TOTAL:
            raise ValueError("archive too large")
        for info in archive.infolist():
            if info.is_dir():
                continue
            archive.extract(info, dest)
            count += 1
    return count
