import { z } from 'zod';
import { ConfigError, floats, ShapeError, type Value } from '../core/index.ts';
import { fitPicture } from './fit.ts';
import { crop, type RawImage } from './raw-image.ts';
import { type Resample, resize } from './resize.ts';

type Triple = [number, number, number];

/** What a `preprocessor_config.json` says, in the order in which it is done. */
export interface ImageProcessor {
  /** The data set's "fit" instead of `resize`: our own field `do_fit`, which no published model has. */
  readonly fit: boolean;
  /** To exactly width x height, or to a shorter side of so many pixels with the aspect ratio kept. */
  readonly resize?: { readonly width: number; readonly height: number } | { readonly shortestEdge: number } | undefined;
  readonly resample: Resample;
  readonly centerCrop: boolean;
  /** What comes out: W x H. */
  readonly size: { readonly width: number; readonly height: number };
  readonly rescaleFactor: number;
  readonly mean: Triple;
  readonly std: Triple;
}

const classes = [
  'BlipImageProcessor',
  'BlipImageProcessorFast',
  'BitImageProcessor',
  'BitImageProcessorFast',
  'CLIPImageProcessor',
  'CLIPImageProcessorFast',
  'SiglipImageProcessor',
  'SiglipImageProcessorFast',
] as const;
/** Of those that say nothing of it, these do not cut out the middle. */
const uncropped = /^(Blip|Siglip)/;
const resamples = { 2: 'bilinear', 3: 'bicubic' } as const;

const pixels = z.int().positive();
const rectangle = z.union([
  z.object({ height: pixels, width: pixels }),
  pixels.transform((side) => ({ height: side, width: side })),
]);
const preprocessorConfig = z.object({
  image_processor_type: z.enum(classes),
  do_fit: z.boolean().default(false),
  do_resize: z.boolean().default(true),
  size: z.union([rectangle, z.object({ shortest_edge: pixels })], {
    error: ({ input }) => `expected {height, width} or {shortest_edge}, found ${JSON.stringify(input)}`,
  }),
  resample: z.literal([2, 3], {
    error: ({ input }) => `expected 2 (bilinear) or 3 (bicubic), found ${JSON.stringify(input)}`,
  }),
  do_center_crop: z.boolean().optional(),
  crop_size: rectangle.optional(),
  do_rescale: z.boolean().default(true),
  rescale_factor: z.number().default(1 / 255),
  do_normalize: z.boolean().default(true),
  image_mean: z.tuple([z.number(), z.number(), z.number()]),
  image_std: z.tuple([z.number().positive(), z.number().positive(), z.number().positive()]),
});

/**
 * Old files (openai/clip-vit-large-patch14's) call a CLIPImageProcessor a feature extractor, and its shorter side, as
 * transformers reads it, `size`.
 */
function named(json: object): object {
  const {
    feature_extractor_type: old,
    image_processor_type = old,
    size,
    ...rest
  }: Record<string, unknown> = { ...json };
  if (image_processor_type !== 'CLIPFeatureExtractor' && image_processor_type !== 'CLIPImageProcessor') return json;
  const shortest = typeof size === 'number' ? { shortest_edge: size } : size;
  return { ...rest, image_processor_type: 'CLIPImageProcessor', size: shortest };
}

/**
 * Reads transformers' image processor fields (BlipImageProcessor, BitImageProcessor, CLIPImageProcessor, SiglipImageProcessor;
 * the "Fast" ones are given PIL's pixels, from which they differ by up to two levels). Throws ConfigError, naming `file` and the
 * field.
 */
export function parseImageProcessor(json: unknown, file = 'preprocessor_config.json'): ImageProcessor {
  const parsed = preprocessorConfig.safeParse(typeof json === 'object' && json !== null ? named(json) : json);
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0]!;
    throw new ConfigError(`${file}: ${path.join('.') || 'the file'}: ${message}`);
  }
  const c = parsed.data;
  const centerCrop = c.do_center_crop ?? !uncropped.test(c.image_processor_type); // transformers' defaults
  const size = centerCrop ? c.crop_size : 'width' in c.size ? c.size : undefined;
  if (!size) {
    throw new ConfigError(
      centerCrop
        ? `${file}: crop_size: expected a height and a width, because do_center_crop is on; found none`
        : `${file}: size: expected a height and a width (shortest_edge gives images of different sizes)`,
    );
  }
  if (c.do_fit && size.width !== size.height) {
    throw new ConfigError(`${file}: size: expected a square, because do_fit is on; found ${size.width}x${size.height}`);
  }
  return {
    fit: c.do_fit,
    resize: !c.do_resize ? undefined : 'width' in c.size ? c.size : { shortestEdge: c.size.shortest_edge },
    resample: resamples[c.resample],
    centerCrop,
    size,
    rescaleFactor: c.do_rescale ? c.rescale_factor : 1,
    mean: c.do_normalize ? c.image_mean : [0, 0, 0],
    std: c.do_normalize ? c.image_std : [1, 1, 1],
  };
}

/** The same processor for images of another size, where position embeddings are interpolated (364 instead of 224). */
export const withSize = (p: ImageProcessor, size: number): ImageProcessor => ({
  ...p,
  size: { width: size, height: size },
  resize: p.resize && ('width' in p.resize ? { width: size, height: size } : { shortestEdge: size }),
});

/** The 8-bit RGB image that the model sees, before normalisation. */
export function toModelSize(image: RawImage, p: ImageProcessor): RawImage {
  if (p.fit) return fitPicture(image, p.size.width);
  const resized = p.resize ? resize(image, targetSize(image, p.resize), p.resample) : image;
  return p.centerCrop ? centerCrop(resized, p.size) : resized;
}

function targetSize(image: RawImage, target: NonNullable<ImageProcessor['resize']>): { width: number; height: number } {
  if ('width' in target) return target;
  const { width, height } = image;
  const scale = (side: number) => Math.floor((target.shortestEdge * side) / Math.min(width, height));
  return { width: scale(width), height: scale(height) };
}

const centerCrop = (image: RawImage, { width, height }: ImageProcessor['size']): RawImage =>
  crop(image, {
    left: Math.floor((image.width - width) / 2),
    top: Math.floor((image.height - height) / 2),
    width,
    height,
  });

/**
 * Images of the model's size, rescaled and normalised: `pixelValues` [B, 3, H, W], float32. Alpha is dropped. Throws
 * ShapeError where an image has another size.
 */
export function normalise(images: readonly RawImage[], p: ImageProcessor): Value<'float32'> {
  const { width, height } = p.size;
  const area = width * height;
  const tables = [0, 1, 2].map((channel) => levels(p, channel));
  const out = new Float32Array(images.length * 3 * area);
  for (const [b, { data, channels, ...image }] of images.entries()) {
    if (image.width !== width || image.height !== height) {
      throw new ShapeError(`image ${b}: expected ${width}x${height} pixels, found ${image.width}x${image.height}`);
    }
    for (const [c, table] of tables.entries()) {
      const plane = (b * 3 + c) * area;
      for (let i = 0; i < area; i++) out[plane + i] = table[data[i * channels + c]!]!;
    }
  }
  return floats([images.length, 3, height, width], out);
}

/** (level * rescaleFactor - mean) / std for the 256 levels of a channel, each step rounded to float32 as in numpy. */
function levels({ rescaleFactor, mean, std }: ImageProcessor, channel: number): Float32Array {
  const m = Math.fround(mean[channel]!);
  const s = Math.fround(std[channel]!);
  return Float32Array.from({ length: 256 }, (_, level) => Math.fround(Math.fround(level * rescaleFactor) - m) / s);
}

/** Decoded images of any size as `pixelValues` [B, 3, H, W]. */
export const pixelValues = (images: readonly RawImage[], p: ImageProcessor): Value<'float32'> =>
  normalise(
    images.map((image) => toModelSize(image, p)),
    p,
  );
