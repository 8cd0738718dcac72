"""Compare painted lesions with real ones: what a study says of its synthesizers before any recognizer is trained.

Needs   the fold tables, and the manifests of all banks
Gives   results/<study>/fold<k>/lesions.parquet: one row of measures per real and per painted lesion, their textures in
        lesions.b2nd; results/<study>/evaluation/{realism,profiles,distributions,privacy,privacy_distances}.csv, and
        the figure `realism`
Steps   measure_lesions → score_realism → plot_realism
                        → score_privacy
"""


rule measure_lesions:
    input:
        cases="results/{study}/fold{fold}/cases.parquet",
        manifests=expand("results/{{study}}/fold{{fold}}/synthesis/{name}/manifest.parquet", name=STUDY.banks),
        encoder=ENCODER,
    output:
        lesions="results/{study}/fold{fold}/lesions.parquet",
        thumbnails="results/{study}/fold{fold}/lesions.b2nd",
    log:
        "results/{study}/logs/measure_lesions/fold{fold}.log",
    benchmark:
        "results/{study}/benchmarks/measure_lesions/fold{fold}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=memory("read_fold"),
        runtime=minutes("read_fold"),
    params:
        config=CONFIG,
        code=code_hash("measure_lesions.py"),
        optional=lambda wildcards, input: flags(network=" ".join(input.encoder)),
        settings=settings("organs", "seed", "evaluation.min_lesion_ml", "evaluation.feature_network", "preset", "presets"),
    message:
        "Measuring the real and the painted lesions of fold {wildcards.fold} of {wildcards.study}"
    shell:
        """
        python scripts/measure_lesions.py \
            --config {params.config:q} \
            --fold {wildcards.fold} \
            --cases {input.cases:q} \
            --manifests {input.manifests:q} \
            {params.optional} \
            --output {output.lesions:q} \
            --thumbnails {output.thumbnails:q} 2>&1 | tee {log:q}
        """


rule score_realism:
    input:
        expand("results/{{study}}/fold{fold}/lesions.parquet", fold=STUDY.folds),
    output:
        realism="results/{study}/evaluation/realism.csv",
        profiles="results/{study}/evaluation/profiles.csv",
        distributions="results/{study}/evaluation/distributions.csv",
    log:
        "results/{study}/logs/score_realism.log",
    benchmark:
        "results/{study}/benchmarks/score_realism.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(60),
    params:
        config=CONFIG,
        code=code_hash("score_realism.py"),
        settings=settings("organs", "seed", "evaluation.confidence", "evaluation.resamples"),
    message:
        "Measuring how like real ones the painted lesions of {wildcards.study} are"
    shell:
        """
        python scripts/score_realism.py \
            --config {params.config:q} \
            --lesions {input:q} \
            --realism {output.realism:q} \
            --profiles {output.profiles:q} \
            --distributions {output.distributions:q} 2>&1 | tee {log:q}
        """


rule score_privacy:
    input:
        lesions=expand("results/{{study}}/fold{fold}/lesions.parquet", fold=STUDY.folds),
        thumbnails=expand("results/{{study}}/fold{fold}/lesions.b2nd", fold=STUDY.folds),
    output:
        privacy="results/{study}/evaluation/privacy.csv",
        distances="results/{study}/evaluation/privacy_distances.csv",
    log:
        "results/{study}/logs/score_privacy.log",
    benchmark:
        "results/{study}/benchmarks/score_privacy.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(60),
    params:
        config=CONFIG,
        code=code_hash("score_privacy.py"),
        settings=settings("organs", "seed", "evaluation.confidence", "evaluation.resamples"),
    message:
        "Looking for copies of training lesions among the painted ones of {wildcards.study}"
    shell:
        """
        python scripts/score_privacy.py \
            --config {params.config:q} \
            --lesions {input.lesions:q} \
            --thumbnails {input.thumbnails:q} \
            --privacy {output.privacy:q} \
            --distances {output.distances:q} 2>&1 | tee {log:q}
        """


rule plot_realism:
    input:
        realism="results/{study}/evaluation/realism.csv",
        profiles="results/{study}/evaluation/profiles.csv",
    output:
        drawing("realism", "Painting"),
    log:
        "results/{study}/logs/plot_realism.log",
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(20),
    params:
        config=CONFIG,
        code=code_hash("plot_realism.py"),
        settings=settings("organs", "recognition.arms"),
    message:
        "Drawing painted beside real lesions of {wildcards.study}"
    shell:
        """
        python scripts/plot_realism.py \
            --config {params.config:q} \
            --realism {input.realism:q} \
            --profiles {input.profiles:q} \
            --output {output.png:q} 2>&1 | tee {log:q}
        """
