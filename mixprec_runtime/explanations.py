"""What the codes of plans mean; `mixprec explain` and docs/reference/plan-findings.md show these texts."""

from __future__ import annotations

__all__ = ["EXPLANATIONS", "PAGE_HEAD"]

from mixprec_doctor.records.explanation import Explanation

PAGE_HEAD = """# Findings of plans

One entry for each code that `mixprec plan` and `mixprec launch` can report; `mixprec explain CODE` shows the same text.
This page is written by `python tests/runtime/write_plan_findings_page.py`, and a test keeps it in step.
"""

EXPLANATIONS: tuple[Explanation, ...] = (
    Explanation(
        code="MP610",
        title="a checkpoint folder cannot be used",
        promise="A folder that the mix names has no readable config or no usable weights.",
        explanation=(
            "A source is a folder with config.json and safetensors files. Something of it is missing, is no "
            "JSON, or the "
            "index and the files do not agree."
        ),
        example="model.safetensors.index.json promises 12 tensors that its files do not hold.",
        cure="Fetch or copy the folder again, whole; name the folder itself, not one above it.",
    ),
    Explanation(
        code="MP611",
        title="a safetensors file is broken",
        promise="A file is shorter than its header says, or its header contradicts itself.",
        explanation=(
            "The header of a safetensors file says where each tensor lies. A file that was copied or downloaded "
            "in part "
            "ends too early; engines notice that late, or read rubbish."
        ),
        example="model.safetensors is cut off: its tensors need 269060552 bytes, the file has 134217728.",
        cure="Fetch or copy that file again, and compare its size or hash with the original's.",
    ),
    Explanation(
        code="MP612",
        title="weights are pickles",
        promise="A folder has only *.bin or *.pt files, which mixprec never opens.",
        explanation="Loading a pickle runs code that its author chose. mixprec reads safetensors and nothing else.",
        example="The folder holds its weights as pickles (pytorch_model.bin).",
        cure=(
            "Convert it once, where you trust it: AutoModelForCausalLM.from_pretrained(FOLDER).save_pretrained(NEW, "
            "safe_serialization=True)."
        ),
    ),
    Explanation(
        code="MP613",
        title="an index names a file outside its folder",
        promise="model.safetensors.index.json names an absolute path or one with '..'.",
        explanation="An index is data from whoever made the checkpoint; followed blindly it reads any file of yours.",
        example="The index names '../../secrets.safetensors'.",
        cure="Do not use this checkpoint before you know who made it and why.",
    ),
    Explanation(
        code="MP614",
        title="a source is another model",
        promise="A source's config differs from the base's where shapes or the vocabulary depend on it.",
        explanation=(
            "All sources of a mixture are checkpoints of one model. A different number of layers, heads, hidden "
            "units or "
            "tokens means a different model, even if some shapes agree."
        ),
        example="vocab_size: base 49152, source 32000.",
        cure="Name a quantized checkpoint of the base model.",
    ),
    Explanation(
        code="MP620",
        title="a rule matches nothing",
        promise="A rule, or one of its targets, names no module of the model.",
        explanation=(
            "A rule without effect is a mistake more often than not, and would serve another mixture than the one "
            "meant. Names are those of the checkpoint (q_proj), not an engine's (qkv_proj); a regular expression "
            "matches "
            "from the start of the name."
        ),
        example="targets: ['re:layers\\.0\\.'] matches nothing, since names start with 'model.'.",
        cure="Compare with `mixprec plan --every-layer`; 're:.*layers\\.0\\.' would match.",
    ),
    Explanation(
        code="MP621",
        title="a rule never decides",
        promise="Everything that a rule matches was taken by an earlier rule, or is ignored.",
        explanation="The first rule that matches a module wins, and ignore comes before all rules.",
        example="A rule for 'Linear' stands above one for 're:.*o_proj$'.",
        cure="Put the narrower rule first, or take the other one out.",
    ),
    Explanation(
        code="MP622",
        title="a fused unit is split",
        promise="Modules that an engine keeps in one parameter are taken from sources of different schemes.",
        explanation=(
            "Engines fuse q, k and v, and gate and up, into one parameter with one format and one kernel. Its parts "
            "come from one source, or from checkpoints of one scheme: the same format (bits, group, symmetry, "
            "activations), the same tensors and quantization method, and with act-order the same order of the inputs. "
            "The config of the first part's source serves the unit, and must quantize all of it."
        ),
        example="q_proj comes from the rule at mix.yaml:9:5, k_proj and v_proj from the default.",
        cure="Let one rule name all parts: 're:.*\\.self_attn\\.(q|k|v)_proj$'.",
    ),
    Explanation(
        code="MP623",
        title="a fused unit has two formats",
        promise="One source holds the parts of a fused unit in different formats.",
        explanation="For example q_proj quantized and k_proj not. The engine has one method for the fused parameter.",
        example="model.layers.0.self_attn.qkv_proj: q_proj gptq-int4-g64, k_proj bf16.",
        cure="Take the unit from a source that has all of it in one format.",
    ),
    Explanation(
        code="MP630",
        title="a source lacks modules",
        promise="The mix takes modules from a source that has no tensors for them.",
        explanation="Rules can name norms and embeddings too; quantized checkpoints need not hold everything.",
        example="Source 'int4' lacks model.embed_tokens.",
        cure="Narrow the rule, or put the module into `ignore`, which keeps the base's.",
    ),
    Explanation(
        code="MP631",
        title="tensors make no known layout",
        promise="A module's tensors are not one of the layouts that mixprec knows, or contradict each other.",
        explanation=(
            "The format of a module is read from the names, types and shapes of its tensors. A module with qweight "
            "but no scales, or with scales that fit no grouping of its weight, is refused."
        ),
        example="gptq needs scales beside qweight I32[72, 576].",
        cure="Was the checkpoint written whole? If so, its format is not supported yet: take another source.",
    ),
    Explanation(
        code="MP632",
        title="shapes differ from the base's",
        promise="A module has another shape in the source than in the base model.",
        explanation="Packed weights are compared by the shape they unpack to.",
        example="model.layers.0.mlp.down_proj: base [576, 1536], source [576, 3072].",
        cure="Name a quantized checkpoint of this very base model.",
    ),
    Explanation(
        code="MP633",
        title="biases differ",
        promise="A module has a bias in the base and none in the source, or one that is not zero the other way round.",
        explanation=(
            "Some GPTQ tools write a bias of zeros for every module; that one is left out. A bias with values would "
            "silently be dropped by the engine, which has no place for it."
        ),
        example="The source has a bias that is not zero, the base has none.",
        cure="Name a quantized checkpoint of this very base model.",
    ),
    Explanation(
        code="MP634",
        title="config and tensors disagree",
        promise="A module's tensors are in another format than the quantization config of its checkpoint says.",
        explanation=(
            "An engine decides by the config how it reads a module: which parameters it makes, how many bits and "
            "inputs per scale they have, whether there are zero points. Tensors of another kind then fail to load, or "
            "load and mean something else. It is an error where the weights would be read differently (kind, bits, "
            "group, scales, symmetry, a module that is quantized in one and not in the other, static activations "
            "without input_scale), else a warning."
        ),
        example="model.layers.0.mlp.up_proj: group size 128 in the config, 64 in the tensors.",
        cure="Fetch config.json and the tensors again, of one state; or correct quantization_config.",
    ),
    Explanation(
        code="MP635",
        title="a format that mixprec cannot serve yet",
        promise="A module is in a format that mixprec knows and has no way to hand to an engine.",
        explanation=(
            "NVFP4 and MXFP4 weights, and the orders of AWQ and GPTQ weights that are made for one kernel (gemv, "
            "gemv_fast, marlin), are recognised, counted and read by the reference; the engines' methods for them are "
            "not driven by mixprec."
        ),
        example="source 'nv' holds nvfp4, which mixprec cannot serve yet (210).",
        cure="Take these modules from a source in another format, or let `ignore` keep the base model's.",
    ),
    Explanation(
        code="MP636",
        title="norms and the layers behind them",
        promise="A source's norms differ from the base's, and the layers behind them come from that source.",
        explanation=(
            "AWQ and SmoothQuant multiply the weights behind a norm and divide the norm by the same; a checkpoint made "
            "that way is right with its own norms only. The planner compares the norms of base and sources (hardly "
            "anything else of their data is read) and takes a norm from where the layers behind it come from: that is "
            "the note. It is an error where those layers come from sources whose norms differ, or where a rule or "
            "`ignore` that also names linear layers keeps the norm elsewhere; a rule for norms alone is believed, with "
            "a warning."
        ),
        example="model.layers.0.input_layernorm: q_proj comes from an AWQ source, in_proj from the base.",
        cure="Let one rule name all layers that read the norm, and none name the norm.",
    ),
    Explanation(
        code="MP637",
        title="layers that were scaled against each other",
        promise="A smoothed source has scales between two layers, and one of the two comes from another source.",
        explanation=(
            "AWQ divides outputs of v_proj by what it multiplies the inputs of o_proj with, and up_proj and down_proj "
            "likewise. Where a source's norms show that it was smoothed and such a pair is split, some rows of the "
            "first layer are held against the base's, in up to three blocks. Factors other than one are an "
            "error; where nothing can be said (rows that do not resemble the base's, words in an order that is not "
            "read) there is a warning."
        ),
        example="model.layers.0.mlp.up_proj (outputs times 0.71, 1.32, 0.94 ...) from 'awq', down_proj from 'fp8'.",
        cure="Let both layers come from one source, or take a checkpoint that was quantized without smoothing.",
    ),
    Explanation(
        code="MP638",
        title="a source was made from other weights",
        promise="The embeddings of a source are not those of the mixture.",
        explanation=(
            "Quantizers leave the input embeddings alone. Where some rows of them differ, the source was made from "
            "another training of the model (a warning), or its whole residual stream was rotated, as QuaRot and "
            "SpinQuant do (rows that differ by more than a quarter of their length: an error). Its layers then fit no "
            "other checkpoint's."
        ),
        example="model.embed_tokens: rows differ by up to 141.2% of their length.",
        cure="Name a quantized checkpoint of this very base model, made without rotation.",
    ),
    Explanation(
        code="MP639",
        title="scales of the key-value cache",
        promise="A source holds scales for a cache in FP8: they are left out, or cannot be used.",
        explanation=(
            "Checkpoints of FP8 tools may hold k_scale and v_scale of each attention. They come from the source of the "
            "attention's keys and values, and only where the mixture is served with `kv_cache_dtype: fp8`; else a note "
            "says that they are left out. It is an error where keys and values have two sources, and where there is a "
            "scale for each head: an engine keeps one for keys and one for values."
        ),
        example="scales of the key-value cache in source 'fp8' are left out (32).",
        cure="`serve: {kv_cache_dtype: fp8}` uses them; the hardware must have such a cache.",
    ),
    Explanation(
        code="MP645",
        title="attention heads that the ranks cannot share",
        promise="The number of attention heads is no multiple of the number of tensor-parallel ranks.",
        explanation=(
            "Tensor parallelism gives every rank the same number of attention heads. An engine refuses other numbers "
            "while it starts; mixprec says so before, with the numbers of ranks that heads, key/value heads, "
            "vocabulary, and the groups and blocks of all sources allow."
        ),
        example="9 attention heads cannot be shared by 2 ranks (SmolLM2-135M: 1, 3 or 9 would do).",
        cure="Take one of the numbers shown, or share the layers instead: pipeline_parallel_size.",
    ),
    Explanation(
        code="MP646",
        title="key/value heads that the ranks cannot share",
        promise="The numbers of key/value heads and of ranks are no multiples of one another.",
        explanation=(
            "Every rank holds the same number of key/value heads; where there are fewer heads than ranks, every head "
            "lies on the same number of ranks. Engines assert this while they make the first layer."
        ),
        example="4 key/value heads cannot be shared by 6 ranks.",
        cure="Take a number of ranks that divides the heads, or is a multiple of them.",
    ),
    Explanation(
        code="MP647",
        title="a module that does not divide among the ranks",
        promise="A module's outputs, or its inputs where these are cut, are no multiple of the number of ranks.",
        explanation=(
            "q, k, v, gate and up are cut along their outputs, o and down along their inputs, in equal parts. "
            "Nothing pads them."
        ),
        example="model.layers.*.mlp.up_proj: 100 outputs on 3 ranks.",
        cure="Take one of the numbers of ranks shown.",
    ),
    Explanation(
        code="MP648",
        title="a vocabulary that does not divide among the ranks",
        promise="The vocabulary, padded to a multiple of 64, is no multiple of the number of ranks.",
        explanation="Embedding and output head are cut along the vocabulary in equal parts, after padding.",
        example="lm_head: 32000 tokens, padded to 32000, on 3 ranks.",
        cure="Take one of the numbers of ranks shown.",
    ),
    Explanation(
        code="MP649",
        title="ranks would cut a group, a block or a word",
        promise="The part of a quantized module that each rank gets does not end where a group of it ends.",
        explanation=(
            "Inputs of a group share a scale, outputs and inputs of a block do, and codes of less than 8 bits are "
            "packed in words of 32. A rank that began inside one would compute with the scale of another: some "
            "engines refuse that while they make the layer, some do not. Modules whose g_idx is out of order are "
            "free of the first: every rank holds the scales of all groups. Scales per channel or tensor cut nothing."
        ),
        example="model.layers.*.mlp.down_proj (30): 96 inputs for each rank are no multiple of the group size 64.",
        cure="Take one of the numbers of ranks shown, a source with smaller groups, or a rule that moves the modules.",
    ),
    Explanation(
        code="MP650",
        title="key/value heads lie on several ranks",
        promise="There are fewer key/value heads than ranks, so that each is held in copies.",
        explanation=(
            "k_proj, v_proj and the key-value cache do not shrink any more with further ranks. The bytes per rank "
            "that a plan shows count the copies."
        ),
        example="3 key/value heads on 9 ranks: each lies on 3 of them.",
        cure="None is needed; fewer ranks hold fewer copies.",
    ),
    Explanation(
        code="MP651",
        title="parts of a fused module end inside a block",
        promise="A part of a fused module that others follow does not end where a block of its scales ends.",
        explanation=(
            "An engine keeps q, k and v in one weight with one table of scales per block. Where q ends inside a "
            "block, the scales of k have no row of their own in that table, and the engine's kernels refuse the layer. "
            "A portable kernel, whose table begins anew with every part, serves it on one rank; several ranks would "
            "cut blocks (MP649)."
        ),
        example="model.layers.*.self_attn.q_proj (30): 576 outputs are no multiple of the 128 of a block.",
        cure="For the engine's own kernels take these modules from a source with smaller blocks, or another format.",
    ),
    Explanation(
        code="MP652",
        title="more pipeline stages than layers",
        promise="Some stage would hold no layer.",
        explanation="Stages of pipeline parallelism hold whole layers; the first has the embedding, the last the head.",
        example="2 layers cannot be shared by 3 pipeline stages.",
        cure="Set pipeline_parallel_size to the number of layers at most.",
    ),
)
