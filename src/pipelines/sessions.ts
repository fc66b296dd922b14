import { captionWriter } from '../blip2/index.ts';
import { ConfigError } from '../core/index.ts';
import { type CompiledLanguageModel, compileLanguageModel } from '../generation/index.ts';
import { Params } from '../nn/index.ts';
import { quantise } from '../quantise/index.ts';
import { compile, type Session, type SessionOptions, SessionThread, weightsFrom } from '../runtime/index.ts';
import {
  attentionGraph,
  type Graph,
  logitsGraph,
  pairsGraph,
  queriesGraph,
  textsGraph,
  visionGraph,
} from './graphs.ts';
import { LanguageModelByRows } from './language-model-by-rows.ts';
import { hasManyRows, storedFormat } from './layer-formats.ts';
import { MadeOnce } from './made-once.ts';
import type { ConnectedLanguageModel, ModelFiles } from './model-files.ts';
import { SeenImages } from './seen-images.ts';

/** A model's graphs, each compiled when it is first used. */
export class Sessions {
  readonly files: ModelFiles;
  readonly seen = new SeenImages();
  readonly #options: SessionOptions;
  /** For graphs that compute many rows at a time: their float32 weights are read where they lie, and ready at once. */
  readonly #mapped: SessionOptions;
  /** For a language model that many rows go through at a time. */
  readonly #manyRows: SessionOptions;
  /**
   * Whether weights are packed for a CPU: what a product then waits for is its rows. Weights that are not packed, or that
   * another device multiplies, want as many rows as there are.
   */
  readonly packed: boolean;
  readonly #compiled = new MadeOnce();
  /** Where images are encoded while the language model, whose weights take seconds to pack, is compiled, or writes. */
  #imageThread: SessionThread | undefined;

  constructor(files: ModelFiles, options: SessionOptions) {
    this.files = files;
    const rewriteFor = (rows: 'few' | 'many') => (outputs: Graph) =>
      quantise(outputs, (weight) => storedFormat(files.checkpoint, weight, rows));
    this.#options = { ...options, rewrite: rewriteFor('few') };
    this.#manyRows = { ...options, rewrite: rewriteFor('many') };
    const { device = 'cpu' } = options;
    const mapped = device === 'cpu' && isFloat32(files);
    this.#mapped = { ...this.#options, mapped };
    this.packed = device === 'cpu' && !mapped;
  }

  vision(size: { height: number; width: number }): Promise<Session<'last_hidden_state' | 'image_embeds'>> {
    const { height, width } = size;
    return this.#session(`vision ${height} x ${width}`, (p) => visionGraph(p, this.files, size), this.#imageSide());
  }

  queries(): Promise<Session<string>> {
    return this.#session('queries', (p) => queriesGraph(p, this.files), this.#imageSide());
  }

  attention(): Promise<Session<'cross_attention'>> {
    return this.#session('attention', (p) => attentionGraph(p, this.files), this.#mapped);
  }

  texts(): Promise<Session<'text_embeds' | 'text_embeds_proj'>> {
    this.#require('retrieval', 'compare images with texts');
    return this.#session('texts', (p) => textsGraph(p, this.files));
  }

  pairs(): Promise<Session<'multimodal_embeds' | 'itm_logits_per_query' | 'itm_logits'>> {
    this.#require('retrieval', 'match images with texts');
    return this.#session('pairs', (p) => pairsGraph(p, this.files));
  }

  logits(): Promise<Session<'logits'>> {
    const { lm } = this.language();
    return this.#session('logits', (p) => logitsGraph(p.at('language_model'), lm));
  }

  /** The Q-Former as a caption's writer. */
  writer(): Promise<CompiledLanguageModel> {
    this.#require('writing', 'write captions');
    return this.#compiled.get('writer', () =>
      compileLanguageModel(captionWriter(this.files.config), this.#language('')),
    );
  }

  languageModel(): Promise<LanguageModelByRows> {
    const { lm } = this.language();
    const compiled = (session: SessionOptions) => () =>
      compileLanguageModel(lm, { ...this.#language('language_model'), session });
    const few = compiled(this.#options);
    return this.#compiled.get('language model', async () => {
      // Where they lie in their files, floats are read as fast by a single row as repacked ones, and are ready at once.
      if (this.#mapped.mapped) return new LanguageModelByRows({ few: compiled(this.#mapped), many: few, manyFrom: 2 });
      if (!hasManyRows(this.files.checkpoint)) return new LanguageModelByRows({ few });
      return new LanguageModelByRows({ few, many: compiled(this.#manyRows), manyFrom: manyRows });
    });
  }

  /**
   * Compiles what so many texts need after their images, while another thread encodes these; without one there is nothing to
   * gain. What is wrong is thrown when it is used.
   */
  prepareLanguageModel(rows: number): void {
    if (this.#imageThread === undefined) return;
    const language = this.languageModel().then((model) => model.prepare(rows));
    for (const compiling of [this.queries(), language]) compiling.catch(() => {});
  }

  /** Throws ConfigError where the model has none. */
  language(): ConnectedLanguageModel {
    if (this.files.language) return this.files.language;
    throw new ConfigError(`${this.files.folder}: a stage-1 model has no language model to ask; use one of stage 2`);
  }

  /** Frees what was compiled, and what is remembered. */
  async release(): Promise<void> {
    this.seen.clear();
    const thread = this.#imageThread;
    this.#imageThread = undefined;
    try {
      await this.#compiled.release();
    } finally {
      await thread?.close();
    }
  }

  #imageSide(): SessionOptions {
    if (!this.packed || !this.files.language) return this.#mapped;
    this.#imageThread ??= new SessionThread();
    return { ...this.#mapped, thread: this.#imageThread };
  }

  #require(head: keyof ModelFiles['heads'], use: string): void {
    if (this.files.heads[head]) return;
    throw new ConfigError(`${this.files.folder}: this model has no head to ${use} with; use one that stage 1 trained`);
  }

  #language(path: string) {
    return { weights: this.#weights(), params: new Params({ path }), session: this.#options, packed: this.packed };
  }

  #weights = () => weightsFrom(this.files.checkpoint.entries);

  #session<O extends string>(
    name: string,
    build: (p: Params) => Graph<O>,
    options: SessionOptions = this.#options,
  ): Promise<Session<O>> {
    return this.#compiled.get(name, () => compile(build(new Params()), this.#weights(), options));
  }
}

/** Of so many rows, the products of a large language model wait for arithmetic more than for weights. */
const manyRows = 16;

/** What is kept in other types is converted or repacked in memory anyway. */
const isFloat32 = ({ checkpoint }: ModelFiles): boolean =>
  [...checkpoint.entries.values()].every(({ dtype }) => dtype === 'float32' || dtype === 'int64');
