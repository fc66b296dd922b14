import * as ort from 'onnxruntime-node';
import { UsageError } from '../core/index.ts';

/** Where a graph can run: the names of ONNX Runtime's execution providers. */
export const devices: readonly string[] = ['cpu', 'webgpu', 'cuda', 'coreml', 'dml'];

/** What this build of ONNX Runtime knows how to use. That it is there is seen when a session is made. */
const inThisBuild = ort
  .listSupportedBackends()
  .map(({ name }) => name)
  .filter((name) => devices.includes(name));

/** What is wrong where a device cannot be had on this machine, by what ONNX Runtime says, and what to do. */
const absences: Readonly<Record<string, { readonly says: RegExp; readonly meaning: string }>> = {
  webgpu: {
    says: /WebGPU adapter/,
    meaning: 'this machine has no GPU that WebGPU reaches: install its driver (on Linux Vulkan, with libvulkan.so.1)',
  },
  cuda: {
    says: /load (shared )?library|CUDA (failure|driver)|no CUDA-capable device/i,
    meaning:
      "its libraries or its GPU are missing: run onnxruntime-node's install script, which fetches the libraries " +
      '(npm rebuild onnxruntime-node --ignore-scripts=false), on a machine with CUDA',
  },
};

/** Throws UsageError naming the devices that this build has, where it has not got this one. */
export function checkDevice(device: string): void {
  if (inThisBuild.includes(device)) return;
  throw new UsageError(
    `device ${device}: this build of ONNX Runtime (${process.platform}, ${process.arch}) has ${inThisBuild.join(', ')}; choose one of these`,
  );
}

/** The error to throw where ONNX Runtime's says that a device of this build is not on this machine. */
export function deviceAbsence(device: string, error: unknown): UsageError | undefined {
  const absence = absences[device];
  if (!absence || !(error instanceof Error) || !absence.says.test(error.message)) return undefined;
  return new UsageError(`device ${device}: ${absence.meaning}; or choose cpu`, { cause: error });
}
