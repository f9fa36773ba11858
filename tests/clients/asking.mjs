// How the scripts here are asked, and how they answer: one line of JSON each way.

export const asked = JSON.parse(process.env.ASKED);

export const answer = (said) => console.log(JSON.stringify(said));

// What came of an attempt: its value, or what the package said when it threw.
export async function outcome(attempt) {
  try {
    return { value: await attempt() };
  } catch (error) {
    return { error: error.message, code: error.code, oauth: error.error };
  }
}
