declare module 'heic-decode' {
  interface HeicImage {
    readonly width: number;
    readonly height: number;
    /** RGBA, 8 bits each. */
    decode(): Promise<{ readonly data: Uint8ClampedArray }>;
  }
  /** The images of a file, at least one; throws where there is none. `dispose` frees the decoder. */
  type HeicImages = HeicImage[] & { dispose(): void };
  const heic: { all(options: { buffer: Uint8Array }): Promise<HeicImages> };
  export default heic;
}
