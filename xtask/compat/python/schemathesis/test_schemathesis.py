"""schemathesis: requests made of the server's own description, good and bad ones. None may fail inside of the server, and
every response is one that the description has."""

import subprocess
import sys
from pathlib import Path

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


def test_no_request_breaks_the_server_or_its_description(server, tmp_path):
    server.skip_unless_served("GET", "/openapi.json")
    command = [
        Path(sys.executable).parent / "schemathesis", "run", f"{server.root}/openapi.json", "--checks", CHECKS,
        "--phases", "examples,coverage,fuzzing", "--max-examples", "20", "--seed", "1", "--request-timeout", "60",
        "--header", "Authorization: Bearer none", "--no-color",
    ]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=540)
    assert ran.returncode == 0, ran.stdout[-8000:] + ran.stderr[-2000:]
