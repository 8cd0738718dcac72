"""Make organ labels where a source has none, by a program of the user.

Needs   results/data/<source>/cases.csv, and `organ_labels` in the configuration of the source
Gives   results/data/<source>/organ_labels/<shard>.csv, and one label file per case in organ_labels/files
Steps   label_organs; preprocess_shard of the same shard takes what it made
"""


rule label_organs:
    input:
        "results/data/{source}/cases.csv",
    output:
        "results/data/{source}/organ_labels/{shard}.csv",
    log:
        "results/data/{source}/organ_labels/{shard}.log",
    benchmark:
        "results/data/{source}/organ_labels/{shard}.tsv"
    conda:
        "../envs/core.yaml"
    threads: 2
    resources:
        gpu=organ_gpus,
        mem_mb=memory(16000),
        runtime=minutes(720),
    params:
        config=CONFIG,
        work=lambda wildcards: f"results/data/{wildcards.source}/organ_labels/files",
        code=code_hash("label_organs.py"),
        settings=source_settings,
    message:
        "Labeling the organs of shard {wildcards.shard} of {wildcards.source}"
    shell:
        """
        python scripts/label_organs.py \
            --config {params.config:q} \
            --source {wildcards.source} \
            --cases {input:q} \
            --shard {wildcards.shard} \
            --work {params.work:q} \
            --output {output:q} 2>&1 | tee {log:q}
        """
