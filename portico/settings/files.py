"""Files that developers send to be kept, and where their bytes are."""

from typing import Annotated

from msgspec import Meta, Struct


class Files(Struct, frozen=True, forbid_unknown_fields=True):
    """Files of /v1/files and /v1/uploads: how large, how many, how long, and where."""

    file_bytes_max: Annotated[
        int, Meta(ge=1_024, description="Of one file that is sent at once.")
    ] = 536_870_912
    upload_bytes_max: Annotated[
        int, Meta(ge=1_024, description="Of one file that is sent in parts, or made here.")
    ] = 8_589_934_592
    part_bytes_max: Annotated[int, Meta(ge=1_024, description="Of one part.")] = 67_108_864
    bytes_per_project_max: Annotated[
        int, Meta(ge=0, description="Of all files of a project, parts included.")
    ] = 10_737_418_240
    files_per_project_max: Annotated[int, Meta(ge=0, description="Files of a project.")] = 100_000
    types: Annotated[
        tuple[str, ...],
        Meta(
            description="Media types that are taken, such as `application/pdf` or `image/*`, as the "
            "sender or the name of the file says; empty: all.  Files of a batch need "
            "`application/jsonl`."
        ),
    ] = ()
    at_once_max: Annotated[
        int, Meta(ge=1, description="Files and parts that one project may be sending.")
    ] = 32
    keep_days_max: Annotated[
        int,
        Meta(
            ge=0,
            le=36_500,
            description="How long a file is kept at most; 0: until it is deleted.  A project may "
            "keep them shorter.",
        ),
    ] = 0
    upload_s: Annotated[
        int, Meta(ge=60, le=604_800, description="How long an upload in parts may take.")
    ] = 3_600
    folder: Annotated[
        str, Meta(description="Folder for their bytes; empty: `files` in `server.data_dir`.")
    ] = ""
    bucket: Annotated[
        str,
        Meta(
            description="Bucket of S3, or of what speaks as it does, for their bytes instead of a "
            "folder (extra `s3`).  What is in it under `bucket_prefix` and belongs to no file is "
            "deleted: it is for one installation alone."
        ),
    ] = ""
    bucket_prefix: Annotated[str, Meta(description="What keys in the bucket begin with.")] = (
        "portico/"
    )
    bucket_url: Annotated[str, Meta(description="Where the bucket is; empty: AWS.")] = ""
    bucket_region: Annotated[str, Meta(description="Its region; empty: as boto3 finds it.")] = ""
    bucket_key_id: Annotated[str, Meta(description="Access key id; empty: as boto3 finds it.")] = ""
    bucket_secret: Annotated[
        str, Meta(description="Secret access key; better in the environment.")
    ] = ""
