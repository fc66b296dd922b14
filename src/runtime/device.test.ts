import { describe, expect, it } from 'vitest';
import { UsageError } from '../core/index.ts';
import { checkDevice, deviceAbsence } from './device.ts';

describe('a device', () => {
  it('of every build is the CPU', () => {
    expect(() => checkDevice('cpu')).not.toThrow();
    expect(() => checkDevice('abacus')).toThrow(UsageError);
  });

  // What ONNX Runtime 1.30 says on a machine without them.
  it.each([
    ['webgpu', 'webgpu_context.cc:136 … was false. Failed to get a WebGPU adapter: No supported adapters', 'GPU'],
    ['cuda', 'OrtSessionOptionsAppendExecutionProvider_Cuda: Failed to load shared library', 'install script'],
  ])('%s that is not on this machine is said to be missing, and what to do', (device, message, advice) => {
    const error = deviceAbsence(device, new Error(message));
    expect(error).toBeInstanceOf(UsageError);
    expect(error?.message).toMatch(new RegExp(`^device ${device}: .*${advice}.*; or choose cpu$`));
  });

  it('is not to blame for other errors', () => {
    expect(deviceAbsence('webgpu', new Error('Non-zero status code returned while running Add node'))).toBeUndefined();
    expect(deviceAbsence('cpu', new Error('Failed to load shared library'))).toBeUndefined();
  });
});
