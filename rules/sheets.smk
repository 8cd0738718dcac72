"""Keep what figures show of volumes, banks and networks, so that they can be drawn from small files.

Needs   the tables of cases, the manifests, the predictions and the merged scores, with the arrays they point to
Gives   results/<study>/evaluation/sheets/<name>.{csv,npz}: rows and their pictures,
        and results/<study>/evaluation/{gate,embedding}.csv
Steps   each rule alone
"""


rule collect_cohort:
    input:
        "results/{study}/cases.parquet",
    output:
        multiext("results/{study}/evaluation/sheets/cohort", table=".csv", pictures=".npz"),
    log:
        "results/{study}/logs/collect_cohort.log",
    benchmark:
        "results/{study}/benchmarks/collect_cohort.tsv"
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=memory("read_cases"),
        runtime=minutes("read_cases"),
    params:
        config=CONFIG,
        code=code_hash("collect_cohort.py"),
        settings=settings("organs", "task", "categories", "sources"),
    message:
        "Keeping example slices of the cohort of {wildcards.study}"
    shell:
        """
        python scripts/collect_cohort.py \
            --config {params.config:q} \
            --cases {input:q} \
            --output {output.table:q} 2>&1 | tee {log:q}
        """


rule collect_lesions:
    input:
        cases=FOLD_TABLES[0],
        manifests=[path for path in BANKS if f"/fold{STUDY.folds[0]}/" in path],
    output:
        multiext("results/{study}/evaluation/sheets/lesions", table=".csv", pictures=".npz"),
    log:
        "results/{study}/logs/collect_lesions.log",
    benchmark:
        "results/{study}/benchmarks/collect_lesions.tsv"
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=memory("read_banks"),
        runtime=minutes("read_banks"),
    params:
        config=CONFIG,
        code=code_hash("collect_lesions.py"),
        settings=settings("organs", "synthesis.synthesizers"),
    message:
        "Keeping slices of real and painted lesions of {wildcards.study}"
    shell:
        """
        python scripts/collect_lesions.py \
            --config {params.config:q} \
            --cases {input.cases:q} \
            --manifests {input.manifests:q} \
            --output {output.table:q} 2>&1 | tee {log:q}
        """


rule collect_samples:
    input:
        cases=FOLD_TABLES[0],
        manifests=[path for path in BANKS if f"/fold{STUDY.folds[0]}/" in path],
    output:
        multiext("results/{study}/evaluation/sheets/samples", table=".csv", pictures=".npz"),
    log:
        "results/{study}/logs/collect_samples.log",
    benchmark:
        "results/{study}/benchmarks/collect_samples.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=memory("read_banks"),
        runtime=minutes("read_banks"),
    params:
        config=CONFIG,
        code=code_hash("collect_samples.py"),
        settings=settings("categories", "preset", "presets", "seed"),
    message:
        "Keeping real and synthetic images of {wildcards.study}"
    shell:
        """
        python scripts/collect_samples.py \
            --config {params.config:q} \
            --cases {input.cases:q} \
            --manifests {input.manifests:q} \
            --output {output.table:q} 2>&1 | tee {log:q}
        """


rule collect_failures:
    input:
        cases="results/{study}/cases.parquet",
        scores="results/{study}/evaluation/cases.parquet",
        predictions=PREDICTIONS,
    output:
        multiext("results/{study}/evaluation/sheets/failures", table=".csv", pictures=".npz"),
    log:
        "results/{study}/logs/collect_failures.log",
    benchmark:
        "results/{study}/benchmarks/collect_failures.tsv"
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=memory("read_scores"),
        runtime=minutes("read_scores"),
    params:
        config=CONFIG,
        code=code_hash("collect_failures.py"),
        settings=settings("organs", "evaluation.primary", "recognition.arms"),
    message:
        "Keeping slices of the worst cases of {wildcards.study}"
    shell:
        """
        python scripts/collect_failures.py \
            --config {params.config:q} \
            --cases {input.cases:q} \
            --scores {input.scores:q} \
            --predictions {input.predictions:q} \
            --output {output.table:q} 2>&1 | tee {log:q}
        """


rule collect_embedding:
    input:
        cases=FOLD_TABLES[0],
        weights=[f"{folder}/weights.safetensors" for folder in EMBEDDED],
    output:
        "results/{study}/evaluation/embedding.csv",
    log:
        "results/{study}/logs/collect_embedding.log",
    benchmark:
        "results/{study}/benchmarks/collect_embedding.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=memory("read_fold"),
        runtime=minutes("read_fold"),
    params:
        config=CONFIG,
        code=code_hash("collect_embedding.py"),
        settings=settings("task", "categories", "recognition.network", "preset", "presets", "seed"),
    message:
        "Mapping the last layer of the recognizers of {wildcards.study}"
    shell:
        """
        python scripts/collect_embedding.py \
            --config {params.config:q} \
            --cases {input.cases:q} \
            --weights {input.weights:q} \
            --output {output:q} 2>&1 | tee {log:q}
        """


rule score_gate:
    input:
        BANKS,
    output:
        "results/{study}/evaluation/gate.csv",
    log:
        "results/{study}/logs/score_gate.log",
    benchmark:
        "results/{study}/benchmarks/score_gate.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=memory("read_banks"),
        runtime=minutes("read_banks"),
    params:
        config=CONFIG,
        code=code_hash("score_gate.py"),
        settings=settings("synthesizers", "evaluation.confidence"),
    message:
        "Counting what the gates of {wildcards.study} accept"
    shell:
        """
        python scripts/score_gate.py \
            --config {params.config:q} \
            --manifests {input:q} \
            --output {output:q} 2>&1 | tee {log:q}
        """
