"""Writes the .parquet files beside itself, in the layout of Hugging Face's `datasets`.

    pip install pyarrow==26.0.1 pillow==13.0.0
    python make_parquet.py

The oracle is pyarrow: its writer, its compression, its lists and structures.
"""

import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

here = Path(__file__).parent

def png(i):
    out = io.BytesIO()
    Image.new("RGB", (4, 3), (40 * i, 0, 255 - 40 * i)).save(out, "PNG")
    return out.getvalue()


image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
marks = {b"huggingface": json.dumps({"info": {"features": {"image": {"_type": "Image"}}}}).encode()}


def write(name, columns, **options):
    schema = pa.schema([(column, kind) for column, kind, _ in columns], metadata=marks)
    table = pa.table([values for _, _, values in columns], schema=schema)
    pq.write_table(table, here / name, row_group_size=2, **options)


for shard in range(2):
    rows = range(3 * shard, 3 * shard + 3)
    write(
        f"captions-0000{shard}-of-00002.parquet",
        [
            ("image", image, [{"bytes": png(i), "path": f"{i}.png"} for i in rows]),
            ("caption", pa.list_(pa.string()), [[f"picture {i}", f"the same {i}"] for i in rows]),
            ("cocoid", pa.int64(), [100 + i for i in rows]),
        ],
        compression="snappy" if shard == 0 else "zstd",
        write_page_index=shard == 1,
    )

answer = pa.struct([("answer", pa.string()), ("answer_confidence", pa.string()), ("answer_id", pa.int64())])


def answered(text, i):
    return {"answer": text, "answer_confidence": "yes", "answer_id": i + 1}


said = [["red"] * 7 + ["blue"] * 3, ["yes"] * 10, []]
write(
    "vqa.parquet",
    [
        ("image", image, [{"bytes": png(i), "path": None} for i in (0, 0, 1)]),
        ("question_id", pa.int64(), [1000, 1001, 2000]),
        ("image_id", pa.int64(), [1, 1, 2]),
        ("question", pa.string(), ["What color is it?", "Is it red?", "What is it?"]),
        ("answers", pa.list_(answer), [[answered(a, i) for i, a in enumerate(each)] for each in said]),
        ("answer_type", pa.string(), ["other", "yes/no", "other"]),
    ],
)
write(
    "vqa-test.parquet",
    [
        ("image", image, [{"bytes": png(0), "path": None}]),
        ("question_id", pa.int64(), [3000]),
        ("image_id", pa.int64(), [3]),
        ("question", pa.string(), ["What is it?"]),
        ("answers", pa.list_(answer), [None]),
        ("answer_type", pa.string(), [None]),
    ],
)
write(
    "paths.parquet",
    [("image", pa.string(), ["0.png", "none.png", None]), ("text", pa.string(), ["a", "b", "c"])],
)
