import { open, stat } from 'node:fs/promises';
import { GGMLQuantizationType, gguf } from '@huggingface/gguf';
import { CheckpointError, elements } from '../../core/index.ts';
import { readExactly } from '../read-exactly.ts';
import { dequantise, ggmlBytes, ggmlTypes } from './dequantise.ts';

/** One tensor of a GGUF file. The shape is row-major, as everywhere here; GGUF itself lists the fastest axis first. */
export interface GgufTensor {
  readonly name: string;
  /** ggml's word for the storage: `F32`, `Q4_1`, `Q6_K`, … */
  readonly type: string;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly byteLength: number;
}

/** An open GGUF file: its metadata by type, its tensors as float32. */
export class GgufFile {
  readonly path: string;
  readonly tensors: ReadonlyMap<string, GgufTensor>;
  readonly #metadata: ReadonlyMap<string, unknown>;

  private constructor(path: string, content: { tensors: readonly GgufTensor[]; metadata: object }) {
    this.path = path;
    this.tensors = new Map(content.tensors.map((tensor) => [tensor.name, tensor]));
    this.#metadata = new Map(Object.entries(content.metadata));
  }

  /** Reads the header. Throws CheckpointError where it is damaged, or a tensor is of an unknown type or cut off. */
  static async open(path: string): Promise<GgufFile> {
    const [{ size }, header] = await Promise.all([stat(path), gguf(path, { allowLocalFile: true })]).catch((cause) => {
      throw new CheckpointError(`${path}: not a readable GGUF file: ${cause.message}`, { cause });
    });
    const tensors = header.tensorInfos.map(({ name, dtype, shape: fastestFirst, offset }) => {
      const type = GGMLQuantizationType[dtype] ?? `type ${dtype}`;
      const shape = fastestFirst.map(Number).reverse();
      const byteLength = ggmlBytes(type, elements(shape));
      if (byteLength === undefined) {
        const known = ggmlTypes.join(', ');
        throw new CheckpointError(
          `${path}: tensor ${name}: ${type} [${shape}] cannot be read; known types are ${known}`,
        );
      }
      const tensor = { name, type, shape, offset: Number(header.tensorDataOffset + offset), byteLength };
      if (tensor.offset + byteLength > size) {
        throw new CheckpointError(`${path}: tensor ${name}: ends beyond the ${size}-byte file; it is truncated`);
      }
      return tensor;
    });
    return new GgufFile(path, { tensors, metadata: header.metadata });
  }

  /** The elements of a tensor, dequantised. */
  async read({ name, type, offset, byteLength }: GgufTensor): Promise<Float32Array> {
    const file = await open(this.path, 'r');
    try {
      return dequantise(type, await readExactly(file, offset, byteLength));
    } catch (cause) {
      throw new CheckpointError(`${this.path}: tensor ${name}: ${cause instanceof Error ? cause.message : cause}`, {
        cause,
      });
    } finally {
      await file.close();
    }
  }

  has(key: string): boolean {
    return this.#metadata.has(key);
  }

  /** A metadata field that must be a number. */
  number(key: string): number {
    const field = this.#metadata.get(key);
    if (typeof field === 'number' || typeof field === 'bigint') return Number(field);
    throw this.#wrong(key, 'a number');
  }

  /** A metadata field that must be a string. */
  string(key: string): string {
    const field = this.#metadata.get(key);
    if (typeof field === 'string') return field;
    throw this.#wrong(key, 'a string');
  }

  /** A metadata field that must be a list of strings. */
  strings(key: string): readonly string[] {
    return this.#list(key).map(String);
  }

  /** A metadata field that must be a list of numbers. */
  numbers(key: string): readonly number[] {
    return this.#list(key).map(Number);
  }

  #list(key: string): readonly unknown[] {
    const field = this.#metadata.get(key);
    if (Array.isArray(field)) return field;
    throw this.#wrong(key, 'a list');
  }

  #wrong(key: string, expected: string): CheckpointError {
    const found = this.has(key) ? `a ${typeof this.#metadata.get(key)}` : 'nothing';
    return new CheckpointError(`${this.path}: field ${key}: expected ${expected}, found ${found}`);
  }
}
