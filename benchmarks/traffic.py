"""Traffic: what reading one release costs the network, in bytes of bodies as they are after decompression.

``python -m benchmarks.traffic REQUIREMENT`` writes JSON.
"""

from __future__ import annotations

import json
import sys

from mixprec_doctor.index import find_releases
from mixprec_doctor.index.releases import usual_index
from mixprec_doctor.resolving.releases import Question

if __name__ == "__main__":
    (release,) = find_releases(sys.argv[1])
    connection = usual_index().connection
    page = connection.received
    Question()(release)
    told = {
        "file": release.file.filename,
        "requests": connection.requests,
        "page": page,
        "wheel": connection.received - page,
    }
    json.dump(told, sys.stdout)
