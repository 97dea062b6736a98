"""Unpacks wheels, but only the headers, the version, and the libraries whose names begin as asked.

Arguments: the folder to unpack into, the beginnings joined by commas, then the wheels.
"""

import pathlib
import sys
import zipfile

into, beginnings, *wheels = sys.argv[1:]

for wheel in wheels:
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            file = pathlib.PurePosixPath(name).name
            header = name.startswith("torch/include/") or name.startswith("nvidia/") and "/include/" in name
            library = name.startswith(("torch/lib/", "nvidia/")) and file.startswith(tuple(filter(None, beginnings.split(","))))
            if header or library or name == "torch/version.py":
                archive.extract(name, into)
