export * from './adamw.ts';
export * from './schedules.ts';
