/** What a thread is asked, and what it says. */
export interface Asked<Question> {
  readonly ticket: number;
  readonly question: Question;
}

export type Answered<Answer> =
  | { readonly ticket: number; readonly answer: Answer }
  | { readonly ticket: number; readonly error: { readonly name: string; readonly message: string } };
