"""Train a recognizer per arm, fold and seed, and predict the test and validation cases of the fold.

Needs   the fold table, and what the arm paints with: trained networks, or the bank
Gives   results/<study>/fold<k>/recognition/<arm>/seed<s>/{weights.safetensors,history.csv,predictions.parquet}
Steps   train_recognizer → predict
"""


rule train_recognizer:
    input:
        unpack(arm_inputs),
    output:
        weights="results/{study}/fold{fold}/recognition/{arm}/seed{seed}/weights.safetensors",
        history="results/{study}/fold{fold}/recognition/{arm}/seed{seed}/history.csv",
    log:
        "results/{study}/logs/train_recognizer/fold{fold}-{arm}-seed{seed}.log",
    benchmark:
        "results/{study}/benchmarks/train_recognizer/fold{fold}-{arm}-seed{seed}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: training_threads()
    resources:
        gpu=gpus(),
        mem_mb=memory("train_recognizer"),
        runtime=minutes("train_recognizer"),
    params:
        config=CONFIG,
        launch=launch(training=True),
        sidecar=subpath(output.weights, parent=True),
        painting=optional_flags,
        code=code_hash("train_recognizer.py"),
        settings=named_settings(
            "arms",
            "recognition.network",
            "recognition.training",
            "segmenter.network",
            "organs",
            "task",
            "categories",
            "preset",
            "presets",
            "seed",
            "compute.torch_threads",
        ),
    message:
        "Training arm {wildcards.arm} of fold {wildcards.fold} with seed {wildcards.seed}"
    shell:
        """
        {params.launch} scripts/train_recognizer.py \
            --config {params.config:q} \
            --arm {wildcards.arm} \
            --fold {wildcards.fold} \
            --seed {wildcards.seed} \
            --cases {input.cases:q} \
            {params.painting} \
            --weights {output.weights:q} \
            --history {output.history:q} \
            --sidecar {params.sidecar:q}/checkpoints 2>&1 | tee {log:q}
        """


rule predict:
    input:
        cases="results/{study}/fold{fold}/cases.parquet",
        weights="results/{study}/fold{fold}/recognition/{arm}/seed{seed}/weights.safetensors",
    output:
        "results/{study}/fold{fold}/recognition/{arm}/seed{seed}/predictions.parquet",
    log:
        "results/{study}/logs/predict/fold{fold}-{arm}-seed{seed}.log",
    benchmark:
        "results/{study}/benchmarks/predict/fold{fold}-{arm}-seed{seed}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: STUDY.compute.torch_threads
    resources:
        gpu=gpus(most=1),
        mem_mb=memory("predict"),
        runtime=minutes("predict"),
    params:
        config=CONFIG,
        launch=launch(),
        code=code_hash("predict.py"),
        settings=settings(
            "recognition.network",
            "recognition.overlap",
            "organs",
            "task",
            "categories",
            "seed",
            "preset",
            "presets",
            "compute.torch_threads",
        ),
    message:
        "Predicting the test and validation cases of fold {wildcards.fold} with arm {wildcards.arm}, seed {wildcards.seed}"
    shell:
        """
        {params.launch} scripts/predict.py \
            --config {params.config:q} \
            --arm {wildcards.arm} \
            --fold {wildcards.fold} \
            --seed {wildcards.seed} \
            --cases {input.cases:q} \
            --weights {input.weights:q} \
            --output {output:q} 2>&1 | tee {log:q}
        """
