"""Check every volume, bring it to a common form, divide patients into folds.

Needs   results/data/<source>/cases.csv, and the shard's organ labels where a program makes them
Gives   results/volumes/<preset>/<source>/volumes.parquet, results/<study>/cases.parquet, one table per fold, quarantine.tsv,
        duplicates.csv
Steps   preprocess_shard → merge_volumes → assign_folds
"""


rule preprocess_shard:
    input:
        cases="results/data/{source}/cases.csv",
        organ_labels=organ_labels,
    output:
        volumes="results/volumes/{preset}/{source}/shards/{shard}.parquet",
        quarantine="results/volumes/{preset}/{source}/shards/{shard}.tsv",
    log:
        "results/volumes/{preset}/{source}/shards/{shard}.log",
    benchmark:
        "results/volumes/{preset}/{source}/shards/{shard}.benchmark.tsv"
    conda:
        "../envs/core.yaml"
    threads: 2
    resources:
        mem_mb=memory("preprocess_shard"),
        runtime=minutes("preprocess_shard"),
    params:
        config=CONFIG,
        work=lambda wildcards: f"results/volumes/{wildcards.preset}/{wildcards.source}/store",
        organ_labels=lambda wildcards, input: flags(**{"organ-labels": input.organ_labels}),
        code=code_hash("preprocess_shard.py"),
        settings=named_settings("presets", "checks"),
        source=source_settings,
    message:
        "Preprocessing shard {wildcards.shard} of {wildcards.source} to preset {wildcards.preset}"
    shell:
        """
        python scripts/preprocess_shard.py \
            --config {params.config:q} \
            --source {wildcards.source} \
            --cases {input.cases:q} {params.organ_labels} \
            --shard {wildcards.shard} \
            --workers {threads} \
            --work {params.work:q} \
            --quarantine {output.quarantine:q} \
            --output {output.volumes:q} 2>&1 | tee {log:q}
        """


rule merge_volumes:
    input:
        shards=volume_shards("parquet"),
        quarantines=volume_shards("tsv"),
    output:
        volumes="results/volumes/{preset}/{source}/volumes.parquet",
        quarantine="results/volumes/{preset}/{source}/quarantine.tsv",
    log:
        "results/volumes/{preset}/{source}/merge.log",
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=memory("merge_volumes"),
        runtime=minutes("merge_volumes"),
    params:
        max_quarantined=STUDY.checks.max_quarantined,
        tolerated=STUDY.checks.tolerated_refusals,
        code=code_hash("merge_volumes.py"),
    message:
        "Merging the volumes of {wildcards.source}"
    shell:
        """
        python scripts/merge_volumes.py \
            --shards {input.shards:q} \
            --quarantines {input.quarantines:q} \
            --max-quarantined {params.max_quarantined} \
            --tolerated {params.tolerated} \
            --output {output.volumes:q} \
            --quarantine {output.quarantine:q} 2>&1 | tee {log:q}
        """


rule assign_folds:
    input:
        volumes=VOLUMES,
        quarantines=[path.replace("volumes.parquet", "quarantine.tsv") for path in VOLUMES],
    output:
        cases="results/{study}/cases.parquet",
        quarantine=tabled("results/{study}/quarantine.tsv", "quarantine", "quarantine"),
        duplicates=tabled("results/{study}/duplicates.csv", "duplicates", "duplicates"),
        overlaps=tabled("results/{study}/overlaps.csv", "overlaps", "overlaps"),
        folds=[f"results/{{study}}/fold{fold}/cases.parquet" for fold in STUDY.folds],
    log:
        "results/{study}/logs/assign_folds.log",
    benchmark:
        "results/{study}/benchmarks/assign_folds.tsv"
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=memory("assign_folds"),
        runtime=minutes("assign_folds"),
    params:
        config=CONFIG,
        code=code_hash("assign_folds.py"),
        settings=settings("cohort", "organs", "task", "categories", "seed", "sources"),
    message:
        "Dividing the patients of {wildcards.study} into folds"
    shell:
        """
        python scripts/assign_folds.py \
            --config {params.config:q} \
            --volumes {input.volumes:q} \
            --quarantines {input.quarantines:q} \
            --cases {output.cases:q} \
            --quarantine {output.quarantine:q} \
            --duplicates {output.duplicates:q} \
            --overlaps {output.overlaps:q} \
            --fold-tables {output.folds:q} 2>&1 | tee {log:q}
        """
