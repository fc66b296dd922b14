export { quantisePerChannel } from './per-channel.ts';
