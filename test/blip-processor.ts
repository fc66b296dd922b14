/** A `preprocessor_config.json` of BLIP's kind whose sides and channels can be told apart. */
export const blip = {
  image_processor_type: 'BlipImageProcessor',
  size: { height: 6, width: 8 },
  resample: 3,
  image_mean: [0.5, 0.25, 0],
  image_std: [0.5, 0.25, 1],
};
