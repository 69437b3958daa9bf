"""Avatars of the forum: one folder per user, a few files in each."""
import os
import re

SAFE = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9]+)?")
KINDS = {b"\x89PNG": "png", b"GIF8": "gif", b"\xff\xd8\xff": "jpg"}


def kind(data):
    for magic, name in KINDS.items():
        if data.startswith(magic):
            return name
    raise ValueError("not a picture")


def newest(folder):
    names = os.listdir(folder)
    return max(names, key=lambda name: os.path.getmtime(os.path.join(folder, name)), default=None)


def save_avatar(root, user, filename, data):
    """Store the picture data as an avatar of user under root and return its path; ValueError if refused."""
    extension = kind(data)
    if SAFE.fullmatch(filename) is None:
        raise ValueError("bad name")
    folder = os.path.join(root, user)
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, f"{filename.split('.')[0]}.{extension}")
    with open(path, "wb") as out:
        out.write(data)
    return path
