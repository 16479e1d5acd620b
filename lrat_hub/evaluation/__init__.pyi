from .agents import AgentScores as AgentScores
from .agents import QuestionScores as QuestionScores
from .agents import evaluate_agents as evaluate_agents
from .metrics import RetrievalScores as RetrievalScores
from .metrics import evaluate_retrieval as evaluate_retrieval
