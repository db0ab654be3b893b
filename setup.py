"""Packaging of Isthmus: `pip install .` and Beam's `--setup_file` both run this file.

The package list is explicit: `tests/` and `kubeflow/` are never packaged. Nothing of ours is
imported here, because Beam runs this file on workers where the package is not installed yet.
"""

import setuptools

setuptools.setup(
    packages=setuptools.find_namespace_packages(
        include=["pipeline", "pipeline.*", "components", "components.*", "schemas", "schemas.*"]
    ),
    package_data={
        "pipeline": [
            "templates/*",
            "report/templates/*",
            "alerts/templates/*",
            "monitor_report/templates/*",
        ],
        "components": ["release/schemas/*.json"],
        "schemas": ["*/*.pbtxt", "*/*.json"],
    },
)
