"""Train the segmenter that judges, and the generators that paint.

Needs   the fold table and the volumes it points to
Gives   results/<study>/fold<k>/synthesizer/<name>/weights.safetensors and history.csv; beside them, undeclared, the
        discriminator of a painter that has one
Steps   train_segmenter → train_synthesizer
"""


rule train_segmenter:
    input:
        "results/{study}/fold{fold}/cases.parquet",
    output:
        weights="results/{study}/fold{fold}/synthesizer/segmenter/weights.safetensors",
        history="results/{study}/fold{fold}/synthesizer/segmenter/history.csv",
    log:
        "results/{study}/logs/train_segmenter/fold{fold}.log",
    benchmark:
        "results/{study}/benchmarks/train_segmenter/fold{fold}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: training_threads()
    resources:
        gpu=gpus(),
        mem_mb=memory("train_segmenter"),
        runtime=minutes("train_segmenter"),
    params:
        config=CONFIG,
        launch=launch(training=True),
        sidecar=subpath(output.weights, parent=True),
        code=code_hash("train_segmenter.py"),
        settings=settings("segmenter", "organs", "task", "categories", "preset", "presets", "seed", "compute.torch_threads"),
    message:
        "Training the segmenter of fold {wildcards.fold}"
    shell:
        """
        {params.launch} scripts/train_segmenter.py \
            --config {params.config:q} \
            --fold {wildcards.fold} \
            --cases {input:q} \
            --weights {output.weights:q} \
            --history {output.history:q} \
            --sidecar {params.sidecar:q}/checkpoints 2>&1 | tee {log:q}
        """


rule train_synthesizer:
    input:
        unpack(training_inputs),
    output:
        weights="results/{study}/fold{fold}/synthesizer/{synthesizer}/weights.safetensors",
        history="results/{study}/fold{fold}/synthesizer/{synthesizer}/history.csv",
    log:
        "results/{study}/logs/train_synthesizer/fold{fold}-{synthesizer}.log",
    benchmark:
        "results/{study}/benchmarks/train_synthesizer/fold{fold}-{synthesizer}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: training_threads()
    resources:
        gpu=gpus(),
        mem_mb=memory("train_synthesizer"),
        runtime=minutes("train_synthesizer"),
    params:
        config=CONFIG,
        launch=launch(training=True),
        segmenter=optional_flags,
        sidecar=subpath(output.weights, parent=True),
        code=code_hash("train_synthesizer.py"),
        settings=named_settings(
            "synthesizers", "organs", "task", "categories", "preset", "presets", "seed", "compute.torch_threads"
        ),
    message:
        "Training synthesizer {wildcards.synthesizer} of fold {wildcards.fold}"
    shell:
        """
        {params.launch} scripts/train_synthesizer.py \
            --config {params.config:q} \
            --synthesizer {wildcards.synthesizer} \
            --fold {wildcards.fold} \
            --cases {input.cases:q} \
            {params.segmenter} \
            --weights {output.weights:q} \
            --history {output.history:q} \
            --sidecar {params.sidecar:q}/checkpoints 2>&1 | tee {log:q}
        """
