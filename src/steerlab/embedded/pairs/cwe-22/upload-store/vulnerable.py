"""Files that users uploaded, kept under one folder per tenant."""
import hashlib
import os


class UploadStore:
    def __init__(self, root, limit=1 << 20):
        self.root = os.path.realpath(root)
        self.limit = limit
        os.makedirs(self.root, exist_ok=True)

    def save(self, data):
        if len(data) > self.limit:
            raise ValueError("upload too large")
        key = hashlib.sha256(data).hexdigest()[:20]
        folder = os.path.join(self.root, key[:2])
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, key), "wb") as out:
            out.write(data)
        return f"{key[:2]}/{key}"

    def names(self):
        found = []
        for folder, _, files in os.walk(self.root):
            for name in files:
                found.append(os.path.relpath(os.path.join(folder, name), self.root))
        return sorted(found)

    def read(self, name):
        """Return the bytes of the upload called name; ValueError if it is not one of ours."""
        path = os.path.realpath(os.path.join(self.root, name))
        if not path.startswith(self.root):
            raise ValueError("not an upload: " + name)
        if not os.path.isfile(path):
            raise ValueError("no such upload: " + name)
        with open(path, "rb") as source:
            return source.read(self.limit)
