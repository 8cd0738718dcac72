"""Score every prediction, and compare every arm with the baseline.

Needs   results/<study>/fold<k>/recognition/<arm>/seed<s>/predictions.parquet
Gives   results/<study>/evaluation/{cases,lesions,candidates,reliability}.parquet and, in the same folder,
        {selections,summary,arms,sensitivity_by_size,calibration}.csv, of a segmentation also {froc,patients}.csv,
        of a classification also {classification,confusion,curves}.csv, and fidelity.csv beside each bank
Steps   score_cases → merge_scores → analyze_{comparisons,detection,calibration,classification}; score_synthesis
"""


rule score_cases:
    input:
        "results/{study}/fold{fold}/recognition/{arm}/seed{seed}/predictions.parquet",
    output:
        scores="results/{study}/fold{fold}/recognition/{arm}/seed{seed}/scores.parquet",
        lesions="results/{study}/fold{fold}/recognition/{arm}/seed{seed}/lesions.parquet",
        candidates="results/{study}/fold{fold}/recognition/{arm}/seed{seed}/candidates.parquet",
        reliability="results/{study}/fold{fold}/recognition/{arm}/seed{seed}/reliability.parquet",
    log:
        "results/{study}/logs/score_cases/fold{fold}-{arm}-seed{seed}.log",
    benchmark:
        "results/{study}/benchmarks/score_cases/fold{fold}-{arm}-seed{seed}.tsv"
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=memory("score_cases"),
        runtime=minutes("score_cases"),
    params:
        config=CONFIG,
        code=code_hash("score_cases.py"),
        settings=settings(
            "evaluation.surface_tolerance",
            "evaluation.min_lesion_ml",
            "evaluation.match_iou",
            "evaluation.size_bins",
            "evaluation.candidate_floor",
            "organs",
            "task",
            "categories",
        ),
    message:
        "Scoring arm {wildcards.arm} of fold {wildcards.fold}, seed {wildcards.seed}"
    shell:
        """
        python scripts/score_cases.py \
            --config {params.config:q} \
            --predictions {input:q} \
            --scores {output.scores:q} \
            --lesions {output.lesions:q} \
            --candidates {output.candidates:q} \
            --reliability {output.reliability:q} 2>&1 | tee {log:q}
        """


rule merge_scores:
    input:
        scores=SCORES,
        lesions=LESIONS,
        candidates=CANDIDATES,
        reliability=RELIABILITY,
    output:
        scores="results/{study}/evaluation/cases.parquet",
        lesions="results/{study}/evaluation/lesions.parquet",
        candidates="results/{study}/evaluation/candidates.parquet",
        reliability="results/{study}/evaluation/reliability.parquet",
        selections="results/{study}/evaluation/selections.csv",
    log:
        "results/{study}/logs/merge_scores.log",
    benchmark:
        "results/{study}/benchmarks/merge_scores.tsv"
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=memory("read_scores"),
        runtime=minutes("read_scores"),
    params:
        config=CONFIG,
        code=code_hash("merge_scores.py"),
        settings=settings("evaluation.selections", "evaluation.primary", "task", "categories"),
    message:
        "Merging the scores of {wildcards.study}"
    shell:
        """
        python scripts/merge_scores.py \
            --config {params.config:q} \
            --scores {input.scores:q} \
            --lesions {input.lesions:q} \
            --candidates {input.candidates:q} \
            --reliability {input.reliability:q} \
            --output {output.scores:q} \
            --lesions-output {output.lesions:q} \
            --candidates-output {output.candidates:q} \
            --reliability-output {output.reliability:q} \
            --selections {output.selections:q} 2>&1 | tee {log:q}
        """


rule analyze_comparisons:
    input:
        scores="results/{study}/evaluation/cases.parquet",
        lesions="results/{study}/evaluation/lesions.parquet",
    output:
        summary=tabled("results/{study}/evaluation/summary.csv", "comparisons", "summary"),
        sizes=tabled("results/{study}/evaluation/sensitivity_by_size.csv", "lesions found by size", "sizes"),
        arms=tabled("results/{study}/evaluation/arms.csv", "means per arm", "arms"),
    log:
        "results/{study}/logs/analyze_comparisons.log",
    benchmark:
        "results/{study}/benchmarks/analyze_comparisons.tsv"
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=memory("read_scores"),
        runtime=minutes("read_scores"),
    params:
        config=CONFIG,
        code=code_hash("analyze_comparisons.py"),
        settings=settings("evaluation", "organs", "task", "categories", "seed", "recognition.arms"),
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


rule analyze_detection:
    input:
        scores="results/{study}/evaluation/cases.parquet",
        lesions="results/{study}/evaluation/lesions.parquet",
        candidates="results/{study}/evaluation/candidates.parquet",
    output:
        froc="results/{study}/evaluation/froc.csv",
        patients="results/{study}/evaluation/patients.csv",
    log:
        "results/{study}/logs/analyze_detection.log",
    benchmark:
        "results/{study}/benchmarks/analyze_detection.tsv"
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=memory("read_scores"),
        runtime=minutes("read_scores"),
    params:
        config=CONFIG,
        code=code_hash("analyze_detection.py"),
        settings=settings("evaluation", "task", "seed", "recognition.arms"),
    message:
        "Drawing free-response curves of {wildcards.study} from its lesion candidates"
    shell:
        """
        python scripts/analyze_detection.py \
            --config {params.config:q} \
            --scores {input.scores:q} \
            --lesions {input.lesions:q} \
            --candidates {input.candidates:q} \
            --froc {output.froc:q} \
            --patients {output.patients:q} 2>&1 | tee {log:q}
        """


rule analyze_calibration:
    input:
        "results/{study}/evaluation/reliability.parquet",
    output:
        "results/{study}/evaluation/calibration.csv",
    log:
        "results/{study}/logs/analyze_calibration.log",
    benchmark:
        "results/{study}/benchmarks/analyze_calibration.tsv"
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=memory("read_scores"),
        runtime=minutes("read_scores"),
    params:
        config=CONFIG,
        code=code_hash("analyze_calibration.py"),
        settings=settings("evaluation", "seed", "recognition.arms"),
    message:
        "Comparing the probabilities of {wildcards.study} with what came true"
    shell:
        """
        python scripts/analyze_calibration.py \
            --config {params.config:q} \
            --reliability {input:q} \
            --output {output:q} 2>&1 | tee {log:q}
        """


rule analyze_classification:
    input:
        "results/{study}/evaluation/cases.parquet",
    output:
        table="results/{study}/evaluation/classification.csv",
        confusion="results/{study}/evaluation/confusion.csv",
        curves="results/{study}/evaluation/curves.csv",
    log:
        "results/{study}/logs/analyze_classification.log",
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=memory("read_scores"),
        runtime=minutes("read_scores"),
    params:
        config=CONFIG,
        code=code_hash("analyze_classification.py"),
        settings=settings("evaluation", "task", "categories", "seed", "arms", "recognition.arms"),
    message:
        "Pooling the classifications of {wildcards.study}"
    shell:
        """
        python scripts/analyze_classification.py \
            --config {params.config:q} \
            --scores {input:q} \
            --table {output.table:q} \
            --confusion {output.confusion:q} \
            --curves {output.curves:q} 2>&1 | tee {log:q}
        """


rule score_synthesis:
    input:
        cases="results/{study}/fold{fold}/cases.parquet",
        manifest="results/{study}/fold{fold}/synthesis/{synthesizer}/manifest.parquet",
        recognizer=f"results/{{study}}/fold{{fold}}/recognition/{STUDY.recognition.arms[0]}/seed{STUDY.recognition.seeds[0]}/weights.safetensors",
    output:
        "results/{study}/fold{fold}/synthesis/{synthesizer}/fidelity.csv",
    log:
        "results/{study}/logs/score_synthesis/fold{fold}-{synthesizer}.log",
    benchmark:
        "results/{study}/benchmarks/score_synthesis/fold{fold}-{synthesizer}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: STUDY.compute.torch_threads
    resources:
        mem_mb=memory("read_fold"),
        runtime=minutes("read_fold"),
    params:
        config=CONFIG,
        code=code_hash("score_synthesis.py"),
        settings=named_settings(
            "synthesizers",
            "recognition.network",
            "evaluation.confidence",
            "task",
            "categories",
            "preset",
            "presets",
            "seed",
            "compute.torch_threads",
        ),
    message:
        "Measuring how like real ones the images of {wildcards.synthesizer} in fold {wildcards.fold} are"
    shell:
        """
        python scripts/score_synthesis.py \
            --config {params.config:q} \
            --synthesizer {wildcards.synthesizer} \
            --fold {wildcards.fold} \
            --cases {input.cases:q} \
            --manifest {input.manifest:q} \
            --recognizer {input.recognizer:q} \
            --output {output:q} 2>&1 | tee {log:q}
        """
