import sharp from 'sharp';
import { expect, it } from 'vitest';
import { random } from '../core/index.ts';
import { parseImageProcessor } from '../image/index.ts';
import { loadImage } from './image-source.ts';

it('frames an opaque picture for a model that fits alike with augmentation and without: by nothing', async () => {
  const processor = parseImageProcessor({
    ...{ image_processor_type: 'BlipImageProcessor', do_fit: true, size: 20, resample: 3 },
    ...{ image_mean: [0, 0, 0], image_std: [1, 1, 1] },
  });
  const red = sharp({ create: { width: 30, height: 30, channels: 3, background: '#f00' } });
  const source = { kind: 'bytes', name: 'red', bytes: await red.png().toBuffer() } as const;
  const plain = await loadImage(source, processor);
  expect(plain.data.filter((_, i) => i % 3 === 1)).not.toContain(255);
  for (let i = 0; i < 20; i++) expect(await loadImage(source, processor, { random: random(i) })).toEqual(plain);
});
