"""Jobs that go wrong in the ways that a cluster knows; see faults.py."""


rule all:
    input:
        "memory.txt",
        "time.txt",


rule memory:
    output:
        "memory.txt",
    resources:
        mem_mb=lambda wildcards, attempt: 500 * 2 ** (attempt - 1),
        runtime=5,
    shell:
        "python -c 'x = bytearray(700 * 2**20); import time; time.sleep(8)' && echo done > {output}"


rule time:
    output:
        "time.txt",
    resources:
        mem_mb=500,
        runtime=lambda wildcards, attempt: 2 * attempt - 1,
    shell:
        "sleep 75 && echo done > {output}"


rule long:
    output:
        "long.txt",
    resources:
        mem_mb=500,
        runtime=5,
    shell:
        "date +%s%N >> starts.txt; sleep 12; echo done > {output}"


rule gpu:
    output:
        "gpu{number}.txt",
    resources:
        mem_mb=500,
        runtime=5,
        gpu=1,
    shell:
        "echo $CUDA_VISIBLE_DEVICES > {output}; sleep 5"
