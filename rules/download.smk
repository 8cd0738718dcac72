"""Bring the images of every source to disk.

Needs   a source of the study
Gives   results/data/<source>/cases.csv, one row per case, and the files it points to; series.csv with the license of each
        series, if they come from the commons
Steps   download_source
"""


rule download_source:
    output:
        "results/data/{source}/cases.csv",
    log:
        "results/data/{source}/download.log",
    benchmark:
        "results/data/{source}/download.tsv"
    conda:
        "../envs/core.yaml"
    threads: 2
    resources:
        mem_mb=memory(4000),
        runtime=download_minutes,
    params:
        config=CONFIG,
        code=code_hash("download_source.py"),
        settings=source_settings,
    message:
        "Fetching source {wildcards.source}"
    shell:
        """
        python scripts/download_source.py \
            --config {params.config:q} \
            --source {wildcards.source} \
            --workers {threads} \
            --output {output:q} 2>&1 | tee {log:q}
        """
