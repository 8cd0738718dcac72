"""Score every prediction, and compare every arm with the baseline.

Needs   results/<study>/fold<k>/recognition/<arm>/seed<s>/predictions.parquet
Gives   results/<study>/evaluation/{cases.parquet,lesions.parquet,summary.csv,arms.csv,sensitivity_by_size.csv}
Steps   score_cases → merge_scores → analyze_comparisons
"""


rule score_cases:
    input:
        "results/{study}/fold{fold}/recognition/{arm}/seed{seed}/predictions.parquet",
    output:
        scores="results/{study}/fold{fold}/recognition/{arm}/seed{seed}/scores.parquet",
        lesions="results/{study}/fold{fold}/recognition/{arm}/seed{seed}/lesions.parquet",
    log:
        "results/{study}/logs/score_cases/fold{fold}-{arm}-seed{seed}.log",
    benchmark:
        "results/{study}/benchmarks/score_cases/fold{fold}-{arm}-seed{seed}.tsv"
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        config=CONFIG,
        code=code_hash("score_cases.py"),
        settings=settings("evaluation", "organs"),
    message:
        "Scoring arm {wildcards.arm} of fold {wildcards.fold}, seed {wildcards.seed}"
    shell:
        """
        python scripts/score_cases.py \
            --config {params.config:q} \
            --predictions {input:q} \
            --scores {output.scores:q} \
            --lesions {output.lesions:q} 2>&1 | tee {log:q}
        """


rule merge_scores:
    input:
        scores=SCORES,
        lesions=LESIONS,
    output:
        scores="results/{study}/evaluation/cases.parquet",
        lesions="results/{study}/evaluation/lesions.parquet",
    log:
        "results/{study}/logs/merge_scores.log",
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        code=code_hash("merge_scores.py"),
    message:
        "Merging the scores of {wildcards.study}"
    shell:
        """
        python scripts/merge_scores.py \
            --scores {input.scores:q} \
            --lesions {input.lesions:q} \
            --output {output.scores:q} \
            --lesions-output {output.lesions:q} 2>&1 | tee {log:q}
        """


rule analyze_comparisons:
    input:
        scores="results/{study}/evaluation/cases.parquet",
        lesions="results/{study}/evaluation/lesions.parquet",
    output:
        summary="results/{study}/evaluation/summary.csv",
        sizes="results/{study}/evaluation/sensitivity_by_size.csv",
        arms="results/{study}/evaluation/arms.csv",
    log:
        "results/{study}/logs/analyze_comparisons.log",
    benchmark:
        "results/{study}/benchmarks/analyze_comparisons.tsv"
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        config=CONFIG,
        code=code_hash("analyze_comparisons.py"),
        settings=settings("evaluation", "organs", "seed", "recognition.arms"),
    message:
        "Comparing the arms of {wildcards.study}"
    shell:
        """
        python scripts/analyze_comparisons.py \
            --config {params.config:q} \
            --scores {input.scores:q} \
            --lesions {input.lesions:q} \
            --summary {output.summary:q} \
            --sizes {output.sizes:q} \
            --arms {output.arms:q} 2>&1 | tee {log:q}
        """
