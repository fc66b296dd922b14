/**
 * Enough of a WebAssembly assembler to write a SIMD kernel as expressions (WebAssembly core specification 2.0, chapter
 * 5: the binary format). An expression is the code that leaves its value on the stack; the engine validates the module.
 */
export type Code = readonly (number | Code)[];

const types = { i32: 0x7f, f32: 0x7d, f64: 0x7c, v128: 0x7b } as const;
type Type = keyof typeof types;

/** A parameter or a variable of a function. */
export interface Local {
  readonly value: Code;
  set(value: Code): Code;
}

/** A function as a module holds it. */
export interface KernelFunction {
  readonly name: string;
  readonly parameters: readonly Type[];
  readonly result: Type | undefined;
  readonly code: Code;
}

/** A function from its parameters, in their order, and its body; `variable` declares one more local, 0 at first. */
export function kernelFunction<P extends string>(
  name: string,
  signature: { parameters: Record<P, Type>; result?: Type },
  body: (parameters: Record<P, Local>, variable: (type: Type) => Local) => Code,
): KernelFunction {
  const names = Object.keys(signature.parameters) as P[];
  const parameters = names.map((key) => signature.parameters[key]);
  const variables: Type[] = [];
  const code = body(Object.fromEntries(names.map((key, i) => [key, local(i)])) as Record<P, Local>, (type) =>
    local(names.length + variables.push(type) - 1),
  );
  const declarations = vector(variables.map((type) => [1, types[type]]));
  return { name, parameters, result: signature.result, code: [declarations, code, 0x0b] };
}

/** An unsigned number in LEB128. */
function u32(n: number): number[] {
  return n < 0x80 ? [n] : [(n & 0x7f) | 0x80, ...u32(n >>> 7)];
}

const local = (index: number): Local => ({
  value: [0x20, u32(index)],
  set: (value) => [value, 0x21, u32(index)],
});

const binary =
  (...opcode: Code) =>
  (a: Code, b: Code): Code => [a, b, opcode];
const unary =
  (...opcode: Code) =>
  (x: Code): Code => [x, opcode];
const simd = (opcode: number): Code => [0xfd, u32(opcode)];
/** Alignment 2⁴ bytes, offset 0. */
const aligned = [4, 0];

export const i32 = {
  /** 0 … 63: one byte of signed LEB128. */
  small: (n: number): Code => [0x41, n],
  add: binary(0x6a),
  equal: binary(0x46),
};
export const f64 = { add: binary(0xa0) };
export const v128 = {
  load: unary(simd(0x00), aligned),
  store: (address: Code, x: Code): Code => [address, x, simd(0x0b), aligned],
};
export const f32x4 = {
  splat: unary(simd(0x13)),
  sqrt: unary(simd(0xe3)),
  add: binary(simd(0xe4)),
  sub: binary(simd(0xe5)),
  mul: binary(simd(0xe6)),
  div: binary(simd(0xe7)),
};
export const f64x2 = {
  /** The first two of four float32 as float64, and the last two. */
  promoteLow: unary(simd(0x5f)),
  promoteHigh: (x: Code): Code => {
    const upperHalf = [8, 9, 10, 11, 12, 13, 14, 15];
    return [x, x, simd(0x0d), upperHalf, upperHalf, simd(0x5f)];
  },
  add: binary(simd(0xf0)),
  mul: binary(simd(0xf2)),
  lane: (x: Code, index: 0 | 1): Code => [x, simd(0x21), index],
};

/** Repeats `body` until `condition` holds, which is asked first. */
export const loopUntil = (condition: Code, body: Code): Code => [
  [0x02, 0x40], // block
  [0x03, 0x40], // loop
  [condition, 0x0d, 1], // leave the block
  body,
  [0x0c, 0], // again
  [0x0b, 0x0b],
];

/** A module of these functions over the memory that it imports as `env.memory`. */
export function assemble(functions: readonly KernelFunction[]): Uint8Array<ArrayBuffer> {
  const signatures = functions.map(({ parameters, result }) => [
    0x60,
    vector(parameters.map((t) => types[t])),
    vector(result ? [types[result]] : []),
  ]);
  return Uint8Array.from(
    flatten([
      [...bytesOf('\0asm'), 1, 0, 0, 0],
      section(1, vector(signatures)),
      section(2, vector([[text('env'), text('memory'), 0x02, 0x00, 0]])), // a memory of at least 0 pages
      section(3, vector(functions.map((_, i) => u32(i)))),
      section(7, vector(functions.map(({ name }, i) => [text(name), 0x00, u32(i)]))),
      section(10, vector(functions.map(({ code }) => sized(code)))),
    ]),
  );
}

const flatten = (code: Code): number[] => code.flatMap((part) => (typeof part === 'number' ? [part] : flatten(part)));
const vector = (items: Code): Code => [u32(items.length), items];
const sized = (code: Code): Code => {
  const bytes = flatten(code);
  return [u32(bytes.length), bytes];
};
const section = (id: number, content: Code): Code => [id, sized(content)];
const bytesOf = (s: string): number[] => [...new TextEncoder().encode(s)];
const text = (s: string): Code => sized(bytesOf(s));
