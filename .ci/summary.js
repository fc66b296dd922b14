/** Prints "N passed, N failed" of vitest's JSON report; exits with 1 where there is none, or a test file did not load. */
import { readFileSync } from 'node:fs';

try {
  const { numPassedTests, numFailedTests, testResults } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
  const unloaded = testResults.filter(
    ({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0,
  );
  const failed = numFailedTests + unloaded.length;
  console.log(`${numPassedTests} passed, ${failed} failed`);
  process.exitCode = failed > 0 || numPassedTests === 0 ? 1 : 0;
} catch (error) {
  console.error(`${process.argv[2]}: no test report: ${error.message}`);
  console.log('0 passed, 1 failed');
  process.exitCode = 1;
}
